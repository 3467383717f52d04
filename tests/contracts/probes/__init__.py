"""Each probe, on planted servers of its family."""

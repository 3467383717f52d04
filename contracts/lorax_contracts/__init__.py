"""What both wires promise: data first, and the judge of any server."""

"""The only HTTP clients, behind one small interface."""

"""Bytes to types and back: the two wires, nothing decided here."""

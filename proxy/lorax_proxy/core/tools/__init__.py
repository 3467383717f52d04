"""Functions that a model may call: their grammar, their words, and the reading of what it calls."""

"""The second line of the openai package, and instructor on top of it."""

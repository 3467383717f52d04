"""The command `lorax-openai`, and the entry points of the three commands beside it."""

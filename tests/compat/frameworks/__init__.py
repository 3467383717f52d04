"""Frameworks on top of the openai package, used as their documentation says."""

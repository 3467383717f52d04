"""The ``pattern`` keyword, rewritten from the string it describes to the JSON text of that string."""

__all__ = ["translate"]


def translate(pattern: str) -> str | None:
    """A lowered pattern, or None for what has no form."""
    del pattern
    return None

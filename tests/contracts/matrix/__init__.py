"""Genuine servers of OpenAI's API, checked: `make matrix` writes docs/matrix.md and docs/matrix.html."""

"""Genuine servers of OpenAI's API, checked: `make matrix` writes docs/evidence/matrix.md and docs/evidence/matrix.html."""

"""Hugging Face's own renderer as the oracle of ours."""

"""Files that people hand to the mock: adapters, scripts, tokenizers. Nothing below reads a disk."""

"""The translation, free of I/O: equal inputs give equal bytes."""

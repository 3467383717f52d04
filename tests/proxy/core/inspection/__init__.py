"""What a page shows of a request, from the bytes that passed."""

"""What a page shows of one request, from the bytes that passed; nothing here runs while it is answered."""

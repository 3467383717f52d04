"""Chat templates: their language, what rendering may cost, and the families they are known for."""

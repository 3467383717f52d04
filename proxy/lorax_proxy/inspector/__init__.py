"""The page that shows requests on both wires while it is open, and the routes behind it."""

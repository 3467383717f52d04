"""The inspector's page and what it is told."""

"""Our pytest plugin beside those that run async tests."""

"""2:4 masks on weights."""

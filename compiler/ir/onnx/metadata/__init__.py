"""What stands in the metadata of a model: where nodes come from, and what is no text."""

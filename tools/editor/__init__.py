"""A language server for pattern files, and what editors load beside it."""

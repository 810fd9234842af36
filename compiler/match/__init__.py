"""Declarations found in a graph: how to search, what was found, and why something was not."""

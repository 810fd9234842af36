"""Passes: what one is, which there are, a pipeline as text, and how it runs."""

"""Quantizers and masks of other tools, read as they are."""

"""Quantizers and masks of other tools, read as they are."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("adopt",)

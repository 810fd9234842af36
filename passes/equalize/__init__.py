"""Factors per channel moved between layers, so that one scale serves all channels."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("equalize",)

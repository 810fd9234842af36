"""Scales of their own for what a Concat ties to louder branches."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("untie",)

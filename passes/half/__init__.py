"""FP16 for what is not INT8."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("half", "widen")

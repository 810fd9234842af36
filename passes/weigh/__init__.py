"""Knobs of the target's rules, set by what they gain and cost."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("weigh",)

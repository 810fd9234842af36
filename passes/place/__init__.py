"""Where quantizers stand: a plan from the fusions of the target, and its insertion."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("place",)

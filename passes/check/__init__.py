"""Findings in a finished graph: what a target refuses, what costs time, what got lost."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("check", "record")

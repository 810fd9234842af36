"""Ranges of activations and weights, measured on data, become scales."""

#: The modules that register a pass; the others are imported when it runs.
__registers__ = ("calibrate",)

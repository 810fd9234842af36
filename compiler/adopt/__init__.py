"""Modules that carry quantizers and masks of other tools, in a form that can be captured."""

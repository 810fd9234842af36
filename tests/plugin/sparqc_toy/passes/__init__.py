"""Passes of the toy plug-in: one module each, named after the pass."""

"""Arithmetic on weights that several rooms need: 2:4 masks, INT8 codes, finite values."""

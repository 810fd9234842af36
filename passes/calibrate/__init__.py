"""Ranges of activations and weights, measured on data, become scales."""

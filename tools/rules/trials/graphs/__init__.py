"""Graphs of what a match block asks for, as Hypothesis draws them."""

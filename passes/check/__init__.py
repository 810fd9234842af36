"""Findings in a finished graph: what a target refuses, what costs time, what got lost."""

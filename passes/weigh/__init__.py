"""Knobs of the target's rules, set by what they gain and cost."""

"""Hostile files of every kind that sparqc reads, and what each command has to say of them.

`python -m tests.hostile.suite` runs them all, and prints what went wrong.
"""

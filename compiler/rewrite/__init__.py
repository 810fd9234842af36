"""Rules applied: what a rewrite builds, where it is applied next, and when it stops."""

"""`sparqc rules test`: the examples of pattern files, run."""

"""`sparqc rules infer`: from a region of a graph to a rule that matches it."""

"""A graph with quantizers against the plan that the declarations give for the same graph."""

"""The graph, one interface for both levels, and the operators that it is made of."""

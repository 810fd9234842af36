"""The engine that a target would build from a graph: kernels, codes, traffic, times."""

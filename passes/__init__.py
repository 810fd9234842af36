"""The built-in passes: one transformation of a graph in each file or folder."""

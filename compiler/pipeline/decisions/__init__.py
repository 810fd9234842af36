"""What a pass decided: the differences between two graphs, told apart, counted, and undone."""

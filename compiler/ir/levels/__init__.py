"""Questions to a graph of either level, passed on to the level that answers them."""

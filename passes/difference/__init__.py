"""A graph with quantizers against the plan that the declarations give for the same graph."""

#: No pass and no native stands here: nothing need be imported to know them.
__registers__ = ()

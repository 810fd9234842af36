"""2:4 masks on weights."""

#: No pass and no native stands here: nothing need be imported to know them.
__registers__ = ()

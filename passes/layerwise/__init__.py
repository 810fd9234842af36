"""Layer by layer through two networks: the model as it was, and the one that is being changed.

Each layer's weights are solved anew from what the layer takes in the changed network and gives in
the original one.
"""

#: No pass and no native stands here: nothing need be imported to know them.
__registers__ = ()

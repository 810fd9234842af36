"""Channel permutations that need no operator at run time.

Pool & Yu, "Channel Permutations for N:M Sparsity" (NeurIPS 2021): which of four weights stay
depends on which channels stand side by side, and that order is free wherever everything that the
channels pass through can be permuted alike.

segments     what may change places, and the unification of orders
ties         what one operator may declare
rules        which operator declares what: `products`, `pointwise`, `movement`
orders       the orders of a whole graph
twins        the same in the graph as it was read
groups       the free orders that masked weights are summed over
search       the order that keeps most
judged       which orders bring the pruned network nearer
permutation  the whole
"""

from sparqc.passes.permute.permutation import Permutation, Permutations, permute_channels

__all__ = ["Permutation", "Permutations", "permute_channels"]

#: No pass and no native stands here: nothing need be imported to know them.
__registers__ = ()

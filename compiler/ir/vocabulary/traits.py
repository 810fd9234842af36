"""What holds of operators, whatever they compute: the traits that their rows declare.

A pass, a prediction or a pattern file that asks for a trait takes in each operator that has it,
those of plug-ins too: `table.has(node.op, "moves")`, and in a pattern file `moves(x, ...)`.  The
*data* of an operator are its operands `x`, `xs`, or `a` and `b`; its other operands are parameters,
such as sizes, indices and slopes.  `tests/ir/vocabulary/test_traits.py` holds each row to its word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from sparqc.errors import UsageError, did_you_mean

Trait = Literal[
    "contracts", "weighted", "elementwise", "equivariant", "selects", "moves", "view", "converts",
    "spatial", "reduces", "homogeneous", "monotone", "nonnegative", "keeps_type", "random",
]  # fmt: skip

#: What each trait means.
TRAITS: Mapping[Trait, str] = {
    "contracts": "It adds up products of its operands, as many as `macs` says, in wider numbers "
    "than these; so it may read codes and give floats.",
    "weighted": "It contracts, and one of its operands may be a constant weight: `weight` says "
    "which.",
    "elementwise": "Its operands broadcast, and each number of the result is a function of the "
    "numbers in its place, the same function in all places.",
    "equivariant": "Its operands broadcast, and where all of them are permuted alike along an "
    "axis, so is the result.",
    "selects": "Each number of its results is one of its data, and which one depends on their "
    "order alone: f(g(x)) = g(f(x)) for each increasing function g of one number.",
    "moves": "Each number of its results is one of its data, and which one does not depend on "
    "them: f(g(x)) = g(f(x)) for each function g of one number.",
    "view": "The result has the numbers of x in the order in which they lie in memory; the shape "
    "may be another one.",
    "converts": "The result has the numbers and the shape of x; the element type may be another "
    "one, as far as it holds them.",
    "spatial": "x is [N, C, ...], and y[n, c] depends on x[n, c] alone, in the same way for all n "
    "and c.",
    "reduces": "Each number of the results is made of all those along `axes`, in whichever order; "
    "with `keepdims` these axes stay, with the size 1.",
    "homogeneous": "f(a x) = a f(x) for each number a > 0, where x are all its data.",
    "monotone": "Where no number of its data becomes smaller, no number of its results does.",
    "nonnegative": "It gives no number below 0, whatever it reads.",
    "keeps_type": "The result has the element type and the shape of the first operand.",
    "random": "It gives other results for the same operands.",
}

#: The names of the operands that are data.
DATA = ("x", "xs", "a", "b")

#: The traits that follow from one.
_IMPLIED: Mapping[Trait, tuple[Trait, ...]] = {
    "weighted": ("contracts",),
    "elementwise": ("equivariant",),
    "selects": ("homogeneous", "monotone"),
    "moves": ("selects", "homogeneous", "monotone"),
    "view": ("moves", "selects", "homogeneous", "monotone"),
}


def closed(declared: Collection[Trait], name: str) -> frozenset[Trait]:
    """Some traits and all that follow; UsageError, naming the row, for what is no trait."""
    for trait in declared:
        if trait not in TRAITS:
            hint = did_you_mean(trait, get_args(Trait))
            raise UsageError(f"the operator {name!r} declares no known trait: {trait!r}", hint=hint)
    return frozenset(declared).union(*(_IMPLIED.get(trait, ()) for trait in declared))

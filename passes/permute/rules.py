"""Which operator ties which orders, by its traits or else by its name in the vocabulary.

Any other operator, a raw one above all, needs all its axes in the order in which they are: that is
refusing, not guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sparqc.ir.graph import Node
from sparqc.ir.quantizers import QUANTIZERS
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.vocabulary.traits import Trait
from sparqc.passes.permute import movement, pointwise, products
from sparqc.passes.permute.ties import Ties

Rule = Callable[[Node, Ties], None]

_BY_TRAIT: Mapping[Trait, Rule] = {
    "equivariant": pointwise.elementwise,
    "spatial": movement.spatial,
    "reduces": pointwise.reduction,
    "view": movement.reshape,
}

#: Each of these lays out its axes in a way of its own.
_BY_NAME: Mapping[str, Rule] = MappingProxyType(
    {
        "nn.argmax": pointwise.argmax,
        "nn.batch_norm": pointwise.batch_norm,
        "nn.instance_norm": pointwise.per_channel,
        "nn.prelu": pointwise.batch_norm,
        "nn.layer_norm": pointwise.layer_norm,
        "nn.full_like": pointwise.of_shape,
        "sym.size": pointwise.of_shape,
        **dict.fromkeys(("nn.expand", "nn.expand_to", "nn.expand_as"), pointwise.expand),
        **dict.fromkeys(QUANTIZERS, pointwise.quantizer),
        "nn.conv": products.conv,
        "nn.conv_transpose": products.conv_transpose,
        "nn.linear": products.linear,
        "nn.gemm": products.gemm,
        "nn.matmul": products.matmul,
        "nn.einsum": products.einsum,
        "nn.attention": products.attention,
        "nn.transpose": movement.transpose,
        "nn.concat": movement.concat,
        "nn.split": movement.split,
        "nn.slice": movement.cut,
        "nn.stack": movement.stack,
        "nn.unbind": movement.unbind,
        "nn.roll": movement.roll,
        "nn.pad": movement.pad,
        "nn.gather": movement.gather,
        "nn.depth_to_space": movement.depth_to_space,
    }
)


def rule_of(op: str, table: OperatorTable) -> Rule | None:
    """The rule of an operator, None where nothing is known of it."""
    by_trait = (rule for trait, rule in _BY_TRAIT.items() if table.has(op, trait))
    return _BY_NAME.get(op) or next(by_trait, None)

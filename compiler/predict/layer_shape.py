"""The sizes of a layer on which it depends how fast its kernel is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Node
from sparqc.ir.vocabulary.multiply_adds import product
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.ir.weighted import Weighted

#: What adds two values.
_ADD = "nn.add"
#: The kinds of weighted operators, as kernels have them.
Kind = Literal["conv", "conv_transpose", "matmul"]


@dataclass(frozen=True)
class LayerShape:
    """A weighted operator by its sizes alone.

    `k` are its output channels, `c` those that are summed over for each (of one group), `rows` its
    results for one output channel: batch x height x width.
    """

    operator: Kind
    k: int
    c: int
    rows: int
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    groups: int = 1
    #: Whether the kernel adds another value that the network computes, a skip connection.
    adds: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}


def layer_shape(found: Weighted, inside: Iterable[Node], table: OperatorTable) -> LayerShape | None:
    """The sizes of an operator in a kernel with the operators `inside`; None where one is open,
    and for kinds of operators that are not known here."""
    weight, result, kind = found.weight.shape, found.node.output.shape, _kind(found.node)
    if kind is None or weight is None or not result or len(weight) < 2:
        return None
    elements = product(result)
    channels, reduced = found.channel_axis % len(weight), found.reduction_axis % len(weight)
    window = [size for axis, size in enumerate(weight) if axis not in (channels, reduced)]
    sizes = [result[found.output_axis], weight[reduced], *window]
    known = [size for size in sizes if isinstance(size, int) and size]
    if not elements or len(known) != len(sizes):
        return None
    attributes = found.node.attributes
    return LayerShape(
        operator=kind, k=known[0], c=known[1], rows=elements // known[0],
        kernel=tuple(known[2:]), stride=_integers(attributes.get("strides")),
        groups=next(iter(_integers([attributes.get("groups", 1)])), 1),
        adds=any(node.op == _ADD and not any(is_constant(v, table) for v in node.inputs)
                 for node in inside),
    )  # fmt: skip


def _kind(node: Node) -> Kind | None:
    """What slides a window is a kernel of its own name; of matrix products there is one kind."""
    name = node.op.rpartition(".")[2] if "strides" in node.attributes else "matmul"
    return cast(Kind, name) if name in get_args(Kind) else None


def _integers(value: object) -> tuple[int, ...]:
    items = value if isinstance(value, (list, tuple)) else ()
    return tuple(item for item in items if isinstance(item, int))

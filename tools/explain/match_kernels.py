"""Which nodes of an ONNX file the kernels of a real engine stand for, and which that is not known
of.

Listings up to TensorRT 8.5 say it in the names of kernels alone, and names can be those of another
model (`Conv_12` is in every second file), cut, or there twice.  So what a name says counts where
nothing speaks against it: a weight of another size, a second kernel of that name, a piece of the
name that is no node, weight or layer that the compiler added.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, replace

import onnx

from sparqc.errors import SparqcError
from sparqc.ir.quantizers import onnx_conversions
from sparqc.tools.engine.kernel import Kernel
from sparqc.tools.engine.listings.kernel_names import is_added
from sparqc.tools.engine.onnx_weights import WeightedNode, weighted_nodes

#: What the compiler adds to the name of a quantizer: one of several copies of it, and in 8.0 and
#: 8.2 the layer that it becomes.
_ADDED = re.compile(r"((_(de)?quantize_scale_node)|_clone_\d+)+$")
#: What the parser calls the node that gives a tensor, where it has no name.
_NODE_OF = "node_of_"


@dataclass(frozen=True)
class Matched:
    """The kernels of an engine with the nodes of one file that they stand for."""

    #: All kernels; `nodes` are nodes of the file, none where that is not known.
    kernels: tuple[Kernel, ...]
    #: Those of which some node may be missing.
    partly: Set[Kernel]
    #: Nodes that their kernels are not known of for sure, each with the reason.
    doubts: tuple[str, ...] = ()
    #: Nodes that the listing would name if it were whole, and does not.
    unnamed: Set[str] = frozenset()


def match_kernels(kernels: Sequence[Kernel], model: onnx.ModelProto) -> Matched:
    """Find the nodes of a model that kernels stand for.

    Raises:
        SparqcError: no kernel names a node of the model, or most of those that do have weights of
            another size: the engine is one of another model.
    """
    names = _Names(model)
    found = [names.found(k) for k in kernels]
    # Q and DQ are called alike in every export.
    if not any(names.computes(n) for k in found for n in k.nodes):
        raise SparqcError(
            "the listing names no node of this model",
            hint="build the engine with detailed profiling verbosity, and from this very file",
        )
    doubts = {k: why for k in found if (why := names.other_weight(k))}
    weighing = [k for k in found if names.weighted(k)]
    if 2 * len(doubts) > len(weighing):
        raise SparqcError(
            f"the listing is of another model: of its {len(kernels)} kernels {len(weighing)} name "
            f"layers of this file, but {len(doubts)} of them with other weights "
            f"({next(iter(doubts.values()))})",
            hint="build the engine from this very file",
        )
    twice = names.named_twice(found)
    doubts.update({k: why for k in found if (why := _ambiguous(k, twice))})
    clear = tuple(replace(k, nodes=()) if k in doubts else k for k in found)
    partly = {b for a, b in zip(kernels, clear, strict=True) if names.unknown_piece(a)}
    named = {node for kernel in clear for node in kernel.nodes}
    return Matched(clear, partly, tuple(dict.fromkeys(doubts.values())), names.meetings - named)


def _ambiguous(kernel: Kernel, twice: Set[str]) -> str:
    name = next((n for n in reversed(kernel.nodes) if n in twice), None)
    return f"several nodes or kernels are called {name}" if name is not None else ""


class _Names:
    """What the names in a model mean."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.types = {n.name: n.op_type for n in model.graph.node}
        self.weights = {w.node: w for w in weighted_nodes(model)}
        self.sizes = dict(_sizes(model))
        self.of_weight = _by_weight(self.weights.values())
        #: Names that several nodes of the file have: all but one were called anew.
        self.shared = {n.rpartition("#")[0] for n in self.types if re.search(r"#\d+$", n)}
        #: Nodes without a weight in which computed values meet: no kernel has such a one unnamed.
        self.meetings = set(_meetings(model)) - self.weights.keys()
        self.giving = {o: n.name for n in model.graph.node for o in n.output[:1]}

    def found(self, kernel: Kernel) -> Kernel:
        """A kernel with the nodes of this model that it names."""
        if not kernel.from_name:
            return replace(kernel, nodes=tuple(self._nodes(kernel)))
        nodes = self._nodes(kernel)
        if not any(n in self.weights for n in nodes):
            nodes += [self.of_weight[n] for n in kernel.nodes if n in self.of_weight]
        return replace(kernel, nodes=tuple(dict.fromkeys(nodes)))

    def _nodes(self, kernel: Kernel) -> list[str]:
        return [n for n in map(self._node, kernel.nodes) if n in self.types]

    def _node(self, piece: str) -> str:
        if piece in self.types:
            return piece
        if piece.startswith(_NODE_OF):
            return str(self.giving.get(piece.removeprefix(_NODE_OF), piece))
        return _ADDED.sub("", piece)

    def weighted(self, kernel: Kernel) -> list[str]:
        """The nodes with weights that a kernel names."""
        return [n for n in kernel.nodes if n in self.weights]

    def other_weight(self, kernel: Kernel) -> str:
        """Why a kernel is not that of the one layer with a weight that it names, "" if it may be.

        A listing counts the numbers of a weight.  Where the compiler says itself which nodes a
        kernel has, more of them are channels that it added.
        """
        layers = self.weighted(kernel)
        counted = [c.dims for c in kernel.constants if c.name == f"{kernel.name}.Weights"]
        if len(layers) != 1 or len(counted) != 1:
            return ""
        ours, theirs = self.sizes.get(self.weights[layers[0]].weight), math.prod(counted[0])
        if ours is None or ours == theirs or (ours < theirs and not kernel.from_name):
            return ""
        return f"{layers[0]} has {ours} weights here, {theirs} in the listing"

    def named_twice(self, kernels: Sequence[Kernel]) -> set[str]:
        """The nodes that several names of kernels hold, or several nodes are called.

        A quantizer may stand in several, but none of these has the name of another one.
        """
        by_name = [k for k in kernels if k.from_name]
        counts = Counter(n for k in by_name for n in k.nodes if self.computes(n))
        same = Counter(k.name for k in by_name)
        twice = {n for n, count in counts.items() if count > 1}
        twice |= {n for k in by_name if same[k.name] > 1 for n in k.nodes}
        listed = {n for k in kernels for n in k.nodes}
        return twice | {n for n in self.shared if not any(m.startswith(f"{n}#") for m in listed)}

    def unknown_piece(self, kernel: Kernel) -> bool:
        """Whether the name of a kernel holds what may be a node that is not known, or only a
        weight.

        A constant stands right in front of its quantizer, or of a layer that the compiler added.
        """
        if not kernel.from_name:
            return False
        pieces = kernel.nodes
        computing = [p for p in pieces if self.computes(self._node(p))]
        if not computing and any(piece in self.of_weight for piece in pieces):
            return True
        for piece, behind in zip(pieces, (*pieces, "")[1:], strict=True):
            if self._node(piece) in self.types or piece in self.sizes or is_added(piece):
                continue
            quantizer = self._node(behind) in self.types and not self.computes(self._node(behind))
            if not quantizer and not is_added(behind):
                return True
        return False

    def computes(self, node: str) -> bool:
        """Whether a name is that of a node which is no Q or DQ."""
        return node in self.types and self.types[node] not in onnx_conversions()


def _meetings(model: onnx.ModelProto) -> Iterator[str]:
    """The nodes that read several computed values."""
    constant = {i.name for i in model.graph.initializer} | {""}
    for node in model.graph.node:
        computed = {name for name in node.input if name not in constant}
        if not computed:
            constant.update(node.output)
        elif len(computed) > 1:
            yield node.name


def _sizes(model: onnx.ModelProto) -> Iterator[tuple[str, int]]:
    """How many numbers each constant has."""
    for tensor in model.graph.initializer:
        yield tensor.name, math.prod(tensor.dims)
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                yield node.output[0], math.prod(attribute.t.dims)


def _by_weight(weighted: Collection[WeightedNode]) -> dict[str, str]:
    """The node of each weight, by the initializer's name and by that which the weight of such a
    node or module has in PyTorch; those that only one node goes by."""
    named = [(name, w.node) for w in weighted
             for name in {w.weight, f"{w.node}.weight", f"{w.module}.weight"}]  # fmt: skip
    counts = Counter(name for name, _ in named)
    return {name: node for name, node in named if counts[name] == 1}

"""The kernels of a predicted engine and of a real one, laid beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Set

from sparqc.base.text import shortened
from sparqc.predict.engine import PredictedEngine, PredictedKernel
from sparqc.tools.engine.kernel import Kernel
from sparqc.tools.engine.listings.kernel_names import NO_KERNEL, serves
from sparqc.tools.explain.comparison import SHOWN
from sparqc.tools.explain.match_kernels import Matched


class Sides:
    """The kernels of both engines with the operators in them, Q and DQ left out."""

    def __init__(self, engine: PredictedEngine, matched: Matched, quantizers: Set[str]) -> None:
        self.matched = matched
        self.real = [(k, [n for n in k.nodes if n not in quantizers]) for k in matched.kernels]
        self.predicted = [(k, [n for n in k.nodes if n not in quantizers]) for k in engine.kernels]
        listed = {node for _, nodes in self.real for node in nodes}
        unsure = {node for k, nodes in self.real if k in matched.partly for node in nodes}
        for _, nodes in self.predicted:
            if not matched.unnamed.isdisjoint(nodes):
                unsure.update(nodes)
        self.real_groups = [
            (k, frozenset(nodes)) for k, nodes in self.real if nodes and unsure.isdisjoint(nodes)
        ]
        found = ((k, listed.intersection(nodes)) for k, nodes in self.predicted)
        self.groups = [
            (k, frozenset(nodes)) for k, nodes in found if nodes and unsure.isdisjoint(nodes)
        ]
        #: Predicted kernels of which the listing names no operator.
        self.missing = [k for k, nodes in self.predicted if nodes and listed.isdisjoint(nodes)]
        #: Operators that stand in other predicted kernels, and that it would name as well.
        self.unnamed = [node for k, nodes in self.predicted if k not in self.missing
                        for node in nodes if node in matched.unnamed]  # fmt: skip
        self.pairs = list(self._pairs())
        # Q and DQ in a kernel's name are it alone; elsewhere they are named beside what has them.
        by_name = all(k.from_name for k in matched.kernels)
        self.own = {n: k for k in matched.kernels for n in k.nodes
                    if by_name and not set(k.nodes) - quantizers}  # fmt: skip
        self.predicted_own = [k for k in engine.kernels if k.converts and by_name
                              and k.converts != "Cast"]  # fmt: skip
        self.quantizer_counts = (len(self.predicted_own), len(self.own)) if by_name else None

    def _pairs(self) -> Iterator[tuple[PredictedKernel, Kernel]]:
        """The kernels with the same operators, which no other kernel has a part in."""
        holders: dict[str, list[tuple[Kernel, frozenset[str]]]] = {}
        for kernel, nodes in self.real_groups:
            for node in nodes:
                holders.setdefault(node, []).append((kernel, nodes))
        for ours, nodes in self.groups:
            same = {k: theirs for node in nodes for k, theirs in holders.get(node, ())}
            if [*same.values()] == [nodes]:
                yield ours, next(iter(same))

    def open(self) -> list[str]:
        """What could not be compared."""
        named = [k for k in self.matched.kernels if k.layer_type != NO_KERNEL and not serves(k)]
        found = sum(bool(k.nodes) for k in named)
        notes = [] if found == len(named) else [
            f"{found} of {len(named)} kernels name nodes of this file"
        ]  # fmt: skip
        if self.matched.doubts:
            notes.append(f"kernels are left out: {shortened(self.matched.doubts, SHOWN)}")
        if self.matched.partly:
            notes.append(
                "kernels with pieces in their names that are no nodes of this file, of which only "
                f"the precision is compared: {len(self.matched.partly)}"
            )
        if self.missing:
            titles = shortened([k.title for k in self.missing], SHOWN)
            notes.append(f"predicted, and not named in the listing: {titles}")
        if self.unnamed:
            notes.append(f"not named in the listing: {shortened(self.unnamed, SHOWN)}")
        return notes

    def remarks(self) -> Iterator[str]:
        """What else is worth knowing."""
        copies = sum(serves(k) and k.layer_type != NO_KERNEL for k in self.matched.kernels)
        if copies:
            yield f"kernels that only copy into another layout, which is not predicted: {copies}"
        sizes = (_other_sizes(ours, real) for ours, real in self.pairs)
        yield from list(filter(None, sizes))[:1]


def _other_sizes(ours: PredictedKernel, real: Kernel) -> str:
    """In words, that a kernel gives a tensor of another size than was predicted."""
    if not (ours.outputs and real.outputs):
        return ""
    shape, dims = ours.outputs[0].shape, real.outputs[0].dims
    sized = real.outputs[0].sized and all(isinstance(n, int) for n in shape or ("",))
    if not sized or shape is None or len(shape) != len(dims) or tuple(shape) == dims:
        return ""
    here, there = ("x".join(map(str, sizes)) for sizes in (shape, dims))
    return (
        f"{ours.title} is {here} here and {there} in the engine: give --batch or --shape, or the "
        "traffic of different sizes is compared"
    )

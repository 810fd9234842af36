"""The samples in a batch of a graph's inputs."""

from __future__ import annotations

from collections.abc import Sequence

from sparqc.ir.graph import Array, Value

#: How many samples of the example inputs are run, where the batch can be cut.
FEW = 2


def is_free(inputs: Sequence[Value]) -> bool:
    """Whether all inputs have one symbolic first dimension: the batch."""
    first = {value.shape[0] if value.shape else 0 for value in inputs}
    return len(first) == 1 and isinstance(first.pop(), str)


def first_samples(
    batch: Sequence[Array], inputs: Sequence[Value], count: int = FEW
) -> Sequence[Array]:
    """The first samples of a batch, where it is free: each sample is looked at on its own, and to
    run a large network on many costs more than to compile it."""
    return [array[:count] for array in batch] if is_free(inputs) else batch

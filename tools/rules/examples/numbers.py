"""The numbers that the graph of an example gives, on inputs that are drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.errors import SparqcError
from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import OperatorTable

#: So many times inputs are drawn anew.
SAMPLES = 3
#: The size of a dimension that has a name instead.
_SIZE = 2


def samples(graph: Graph) -> list[list[Array]] | None:
    """Arrays for all inputs, several times; None where the type of one is not known."""
    random = np.random.default_rng(0)
    if not all(map(_is_known, graph.inputs)):
        return None
    return [[_drawn(value, random) for value in graph.inputs] for _ in range(SAMPLES)]


def outputs(graph: Graph, table: OperatorTable, batches: list[list[Array]]) -> list[Array]:
    """What the graph gives for all of them, one after the other.

    Raises SparqcError where it does not run.
    """
    try:
        runner = open_runner(graph, table)
        return [array for batch in batches for array in runner.run(batch)[0]]
    except SparqcError as error:
        raise SparqcError(f"its graph does not run on random inputs: {error.message}") from error


def _is_known(value: Value) -> bool:
    """Whether arrays can be drawn for an input: a size that has a name may be any."""
    sizes = value.shape
    unknown = sizes is None or any(isinstance(d, str) and d.startswith("?") for d in sizes)
    return not unknown and numpy_dtype(value.type.dtype) is not None


def _drawn(value: Value, random: np.random.Generator) -> Array:
    """Integers of eight bits are codes; others are drawn as 0 and 1, and so fit as indices."""
    dtype: Any = numpy_dtype(value.type.dtype)
    shape = [d if isinstance(d, int) else _SIZE for d in value.shape or ()]
    if dtype.kind in "iu" and dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    if dtype == np.bool_ or dtype.kind in "iu":
        return random.integers(0, 2, shape).astype(dtype)
    return np.asarray(random.standard_normal(shape)).astype(dtype)

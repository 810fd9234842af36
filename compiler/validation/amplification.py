"""How far outputs move by rounding alone: what tells a network that amplifies from a wrong file.

Two right programs for one network round differently, and a network may amplify that: with random
weights some give other outputs altogether.  So outputs that moved are held against those of the
network itself, run with every result of an operator off by as much as rounding may cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from sparqc.ir.dtypes import numpy_dtype
from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import OperatorTable

#: What one operator's results may be off by, relative to each: the rounding of a sum of a thousand
#: products in float32, and that of FP16, which has eleven bits.
SINGLE, HALF = 3e-6, 2.0**-10
#: How often a graph is run so: chance may be kind once.
DRAWS = 3
#: So many numbers at most disturb one value: beyond, they repeat along its longest dimension.
MOST_FACTORS = 1 << 18


def rounded_outputs(
    graph: Graph, batch: Sequence[Array], table: OperatorTable, step: float
) -> Iterator[list[Array]]:
    """The outputs of `DRAWS` runs in which all that operators compute in float32 is off by up to
    `step` of itself, differently in each; the graph stays as it is.

    Raises SparqcError where it does not run.
    """
    for draw in range(DRAWS):
        rounded = _rounded(graph, step, np.random.default_rng(draw))
        yield open_runner(rounded, table, shared=False).run(batch)[0]


def _rounded(graph: Graph, step: float, rng: np.random.Generator) -> Graph:
    copy = graph.clone()
    for node in list(copy.nodes):
        for value in node.outputs:
            if value.type.dtype == "f32" and (value.reader_count or value.is_output):
                _disturb(copy, value, step, rng)
    copy.sort()
    return copy


def _disturb(graph: Graph, value: Value, step: float, rng: np.random.Generator) -> None:
    """Multiply a value by numbers around 1, each element by its own: sums that cancel do not
    cancel their rounding.  Along a dimension of no known size they repeat."""
    sizes = [size if isinstance(size, int) else 1 for size in value.shape or ()]
    while math.prod(sizes) > MOST_FACTORS:
        sizes[sizes.index(max(sizes))] = 1
    factors = 1 + step * rng.uniform(-1, 1, sizes)
    array = factors.astype(numpy_dtype(value.type.dtype))
    off = graph.create(
        "nn.mul", {"a": value, "b": graph.constant(array, "rounding")},
        types=[value.type], names=[graph.fresh("rounded")],
    )  # fmt: skip
    graph.replace(value, off.output)
    graph.set_operand(off, "a", value)

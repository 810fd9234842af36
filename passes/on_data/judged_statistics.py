"""How much of measured BatchNorm statistics to take, judged on images that they do not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sparqc.ir.graph import Array, Graph, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.rewrite.context import Batch

#: The shares of the measured statistics that are tried; the largest of equally good ones is taken.
SHARES = (1.0, 0.5, 0.0)
#: Mean and variance of each channel, float64.
Statistics = tuple[Array, Array]
#: The constants of a graph that hold a mean and a variance.
Places = tuple[Value, Value]


def blended(old: Statistics, new: Statistics, share: float) -> Statistics:
    """Mean and variance of a mixture of two populations, `share` of it the second."""
    if share == 1:
        return new
    mean = (1 - share) * old[0] + share * new[0]
    spread = share * (1 - share) * np.square(new[0] - old[0])
    return mean, (1 - share) * old[1] + share * new[1] + spread


def best_share(
    graph: Graph,
    reference: Graph,
    measured: Mapping[Places, Statistics],
    batches: Sequence[Batch],
    table: OperatorTable,
) -> float:
    """The share with which the outputs are nearest to those of the model as it was read."""
    wanted = _outputs(reference, batches, table)
    errors = []
    for share in SHARES:  # one after the other: a runner keeps weights of its own
        found = _outputs(_with(graph, measured, share), batches, table)
        errors.append(sum(map(_distance, found, wanted)))
    return SHARES[int(np.argmin(errors))]


def _outputs(graph: Graph, batches: Sequence[Batch], table: OperatorTable) -> list[list[Array]]:
    runner = open_runner(graph, table)
    return [runner.run(batch)[0] for batch in batches]


def _with(graph: Graph, measured: Mapping[Places, Statistics], share: float) -> Graph:
    """The graph with a share of the measured statistics: a copy, where it changes."""
    if not share:
        return graph
    copy = graph.clone()
    for places, new in measured.items():
        old = tuple(np.asarray(v.data, np.float64) for v in places)
        for place, array in zip(places, blended((old[0], old[1]), new, share), strict=True):
            own = copy.value(place.name)
            assert own.data is not None
            own.data = array.astype(own.data.dtype)
    return copy


def _distance(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """What is left of each output in floats, relative to its size, by the best factor on what was
    found: sin^2 of the angle between both.

    A smaller output is no better one: the plain squared error would favour statistics that leave
    the noise of pruning small, and the signal with it.
    """
    pairs = zip(found, expected, strict=True)
    return sum(_angle(f, e) for f, e in pairs if e.dtype.kind == "f" and e.shape == f.shape)


def _angle(found: Array, expected: Array) -> float:
    f, e = (x.astype(np.float64).ravel() for x in (found, expected))
    sizes = float((f * f).sum() * (e * e).sum())
    return 1 - float((f * e).sum()) ** 2 / sizes if sizes else float(f.any() != e.any())

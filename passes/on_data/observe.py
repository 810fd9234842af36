"""Values of a graph on the calibration data, as they are without the quantizers to be calibrated.

What is observed at once is bounded.  A runner that streams shows one value after the other;
for others the batches are cut into parts where the batch size is free, and the values are split
over several runs where one image alone is too large.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from sparqc.ir.graph import Graph, Value
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.runner import Runner, Show, StreamingRunner
from sparqc.ir.samples import is_free
from sparqc.ir.uncalibrated import without_uncalibrated
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.rewrite.context import Batch

#: Bytes of observed values for which a batch is cut into parts, at most down to single images.
LIMIT = 64 << 20
#: Bytes of observed values of one image, or of a batch that cannot be cut, for which it runs more
#: than once, each time for some of the values.
RUN_LIMIT = 256 << 20

#: Values of a graph, and the same values of its copy.
Pairs = list[tuple[Value, Value]]

_BYTES = {"f64": 8, "i64": 8, "f16": 2, "bf16": 2, "i16": 2, "i8": 1, "u8": 1, "bool": 1}


class Observer:
    """Runs a graph and shows the given values of it, each read in float.

    Values are observed on a copy in which uncalibrated quantizers are left out, since a NaN scale
    would make everything behind it NaN.
    """

    def __init__(self, graph: Graph, values: Sequence[Value], table: OperatorTable) -> None:
        copy = without_uncalibrated(graph)
        found = [v for v in values if v.name in copy]
        self._runner = open_runner(copy, table, optimize="all")
        self._streamed = {copy.value(v.name): v for v in found}
        if isinstance(self._runner, StreamingRunner):
            return
        chunks = _chunks(found)
        self._runs: list[tuple[Runner, Pairs]] = [
            (
                open_runner(copy, table, optimize="all", shared=False) if index else self._runner,
                [(v, copy.value(v.name)) for v in chunk],
            )
            for index, chunk in enumerate(chunks)
        ]
        self._cuttable = is_free(graph.inputs)
        self._images = max(1, LIMIT // max(1, *map(size_of, chunks)))

    def run(self, batch: Batch, show: Show) -> None:
        """Run a batch; `show(value, array)` is called for every value, once for each part."""
        if isinstance(self._runner, StreamingRunner):
            values = self._streamed
            self._runner.stream(batch, list(values), lambda v, array: show(values[v], array))
            return
        for part in self._parts(batch):
            for runner, pairs in self._runs:
                _run(runner, pairs, part, show)

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        if not self._cuttable:
            yield batch
            return
        for start in range(0, len(batch[0]), self._images):
            yield [array[start : start + self._images] for array in batch]


def _run(runner: Runner, pairs: Pairs, batch: Batch, show: Show) -> None:
    # A function of its own, so that what was observed is gone before the next run.
    _, arrays = runner.run(batch, [copy for _, copy in pairs])
    for (value, _), array in zip(pairs, arrays, strict=True):
        show(value, array)


def _chunks(values: Iterable[Value]) -> list[list[Value]]:
    """The values, in order, in runs that stay below the limit."""
    chunks: list[list[Value]] = [[]]
    for value in values:
        if chunks[-1] and size_of([*chunks[-1], value]) > RUN_LIMIT:
            chunks.append([])
        chunks[-1].append(value)
    return chunks


def size_of(values: Iterable[Value]) -> int:
    """Bytes of the values for one image; symbolic dimensions count as 1."""
    return sum(
        _BYTES.get(v.type.dtype, 4) * math.prod(d for d in v.shape or () if isinstance(d, int))
        for v in values
    )

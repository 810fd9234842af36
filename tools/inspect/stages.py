"""The graph of a model at a stage of its pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sparqc.ir.graph import Graph
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.steps import Pipeline, Step
from sparqc.rewrite.context import Context
from sparqc.tools.model.open_request import open_request
from sparqc.tools.model.request import Request
from sparqc.tools.model.words import up_to


def graph_after(request: Request, last: str | None) -> tuple[Graph, Context]:
    """The graph behind the last pass of that name: as it was read for None, finished for END.

    Raises UsageError where the pipeline has no such pass.
    """
    job = open_request(request).job
    return _run(_fitting(job.pipeline, job.graph), last, job.graph, job.context)


def graph_before(
    request: Request, where: Callable[[Step], bool], last: str | None
) -> tuple[Graph, Context]:
    """The graph in front of the first pass for which `where` holds, as it was read without one.

    With `last`, the graph behind that pass instead.
    """
    job = open_request(request).job
    pipeline = _fitting(job.pipeline, job.graph)
    if last is not None:
        return _run(pipeline, last, job.graph, job.context)
    found = [i for i, item in enumerate(pipeline.items) if any(map(where, item.steps))]
    part = replace(pipeline, items=pipeline.items[: found[0] if found else 0])
    return pipelines.run(part, job.graph, job.context), job.context


def _fitting(pipeline: Pipeline, graph: Graph) -> Pipeline:
    return pipeline.for_level(graph.level)[0]


def _run(
    pipeline: Pipeline, last: str | None, graph: Graph, context: Context
) -> tuple[Graph, Context]:
    return pipelines.run(up_to(pipeline, last), graph, context), context

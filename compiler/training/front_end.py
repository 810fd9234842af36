"""The passes of a pipeline that run in front of the export, on the graph of a PyTorch module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from sparqc.errors import UsageError
from sparqc.ir.graph import Graph, Value
from sparqc.ir.uncalibrated import is_uncalibrated
from sparqc.job.open import Job
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.run import Item, Pipeline
from sparqc.training.held_masks import hold_masks, split_masks


@dataclass
class FrontEnd:
    """A job whose passes are run one by one, up to the export.

    Masks that the module holds already are operators of the graph from the start.
    """

    job: Job
    module: nn.Module
    graph: Graph = field(init=False)
    #: The items in front of the export, and those from the export on.
    items: tuple[Item, ...] = field(init=False)
    rest: Pipeline = field(init=False)
    #: The names of the scales that a pass has measured, rather than known beforehand, with the
    #: pass that did.
    measured: dict[str, Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = self.job.graph
        hold_masks(self.graph, self.module, self.job.context.table)
        items = self.job.pipeline.items
        borders = [i for i, item in enumerate(items) if any(s.cls.gives for s in item.steps)]
        at = borders[0] if borders else len(items)
        self.items, self.rest = items[:at], Pipeline(items[at:])
        if any(step.cls.needs_reference for step in self.job.pipeline.steps):
            self.job.context.reference = self.graph.clone()

    def require_rest(self) -> None:
        """UsageError where the pipeline has no export, so that nothing could be finished."""
        if not self.rest.items:
            raise UsageError(
                f"the pipeline does not export the graph: {self.job.pipeline}",
                hint="end it with `export`, and the ONNX passes behind it",
            )

    def leave_to_training(self) -> None:
        """Drop the passes whose repair the training that follows does too."""
        kept = (i for i in self.items if not all(s.cls.training_repairs for s in i.steps))
        self.items = tuple(kept)

    def run(self) -> Iterator[Item]:
        """Run the passes; each is given before it runs, with the graph as it is until then."""
        for item in self.items:
            yield item
            split_masks(self.graph)
            unknown = uncalibrated_scales(self.graph)
            self.graph = pipelines.run(Pipeline((item,)), self.graph, self.job.context)
            known = unknown - uncalibrated_scales(self.graph)
            self.measured |= {scale.name: item for scale in known}


def uncalibrated_scales(graph: Graph) -> set[Value]:
    """The scales that are still NaN."""
    found = (n.operands["scale"] for n in graph.nodes if is_uncalibrated(n))
    return {scale for scale in found if isinstance(scale, Value)}

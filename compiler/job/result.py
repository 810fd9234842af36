"""What a job gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import onnx

from sparqc.ir.graph import Graph
from sparqc.ir.onnx.adapter import save_onnx
from sparqc.job.verify import Difference
from sparqc.passes.check.finding import Finding, Findings
from sparqc.pipeline.events import PassEvent
from sparqc.pipeline.gate import Loss
from sparqc.pipeline.steps import Pipeline
from sparqc.rewrite.context import Context


@dataclass(repr=False)
class Result:
    """A job that was carried out."""

    graph: Graph  # of the ONNX level
    model: onnx.ModelProto
    context: Context
    pipeline: Pipeline
    #: Passes of the pipeline that do not apply to this kind of model.
    skipped: tuple[str, ...]
    #: Operators that the table does not know or cannot write: name -> how many.  Those of an ONNX
    #: model passed through untouched, those of a PyTorch model were exported by torch.onnx alone.
    opaque: dict[str, int]
    #: Against the model before any pass, on the example inputs; None where there are none.
    difference: Difference | None
    #: What was noted while the model was captured.
    notes: tuple[str, ...] = ()
    files: list[Path] = field(default_factory=list)
    #: The passes that ran or were skipped, in order.
    passes: tuple[PassEvent, ...] = ()
    #: What each pass that may change numbers did to the outputs, on one sample.
    losses: tuple[Loss, ...] = ()
    #: How many operators were compared with what they were before a pass.
    verified: int = 0
    #: Why none were; "" where they were.
    unverified: str = ""
    #: Bytes of the float constants of the model as it was read, were they stored in FP32.
    float_bytes: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the checks of the target found; empty where no pass asked them."""
        return self.context.facts.get(Findings, Findings()).findings

    def save(self, path: Path | str) -> None:
        """Write the ONNX file, all of it or nothing.  SparqcError where that fails."""
        self.files += save_onnx(self.model, Path(path))

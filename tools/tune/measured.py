"""The metrics of evaluate() from stage to stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from sparqc.report.tables import plain_table
from sparqc.report.text import figure
from sparqc.tools.model.evaluation import CompiledModel, Reference
from sparqc.tools.model.functions import Evaluate


@dataclass(frozen=True)
class Row:
    """What evaluate() said of the model at one point of the run."""

    name: str
    metrics: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not finite becomes None."""
        metrics = {k: v if math.isfinite(v) else None for k, v in self.metrics.items()}
        return {"name": self.name, "metrics": metrics}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Row:
        """The row that `to_json` gave."""
        metrics = {k: math.nan if v is None else float(v) for k, v in data["metrics"].items()}
        return cls(data["name"], metrics)


def measure(evaluate: Evaluate, module: nn.Module, device: torch.device) -> Mapping[str, float]:
    """The metrics of a module in eval mode, which lies on a device."""
    module.eval()

    def run(*inputs: Tensor) -> Any:
        with torch.no_grad():
            outputs = module(*(x.to(device) for x in inputs))
        return pytree.tree_map(lambda x: x.cpu() if isinstance(x, Tensor) else x, outputs)

    return dict(evaluate(run))


def measure_file(
    evaluate: Evaluate,
    path: Path,
    dense: nn.Module,
    inputs: Sequence[Tensor],
    scales: Mapping[str, float],
) -> Mapping[str, float]:
    """The metrics of the ONNX file in onnxruntime."""
    reference = Reference(dense)
    reference(*inputs)  # tells what the result looks like
    return dict(evaluate(CompiledModel(path, reference, scales)))


def rows_table(rows: Sequence[Row]) -> Table:
    """A line for each point of the run, a column for each metric."""
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    table = plain_table("accuracy", *names)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(
            row.name, *(figure(row.metrics[n]) if n in row.metrics else "" for n in names)
        )
    return table

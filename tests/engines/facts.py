"""What three public engines show: their layers with types, sizes and times, beside this file.

Facts read off listings of NVIDIA/TensorRT's trt-engine-explorer (Apache-2.0).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from tests.engines.graphs import mobilenet_v2, resnet18

#: How the engine inspector spells a type, for one kind of layout.
_TYPES = {
    "INT8": "Thirty-two wide channel vectorized row major Int8 format",
    "FP16": "Channel major FP16 format where channel % 8 == 0",
    "FP32": "Row major linear FP32",
}


@dataclass(frozen=True)
class PublicEngine:
    """One engine: the graph that it was built from, and its layers."""

    name: str
    graph: Callable[[], onnx.ModelProto]

    @property
    def facts(self) -> dict[str, Any]:
        path = Path(__file__).parent / f"{self.name}.json"
        return dict(json.loads(path.read_text()))

    @property
    def layers(self) -> list[dict[str, Any]]:
        return list(self.facts["layers"])

    def listing(self) -> dict[str, Any]:
        """The layers as the engine inspector of TensorRT 8.4 gives them."""
        return {"Layers": [_inspected(layer) for layer in self.layers], "Bindings": []}

    def times(self) -> list[tuple[str, float]]:
        """The microseconds of each kernel by its name."""
        return [(x["name"], x["us"]) for x in self.layers]

    def profile(self) -> list[dict[str, Any]]:
        """The times as `trtexec --exportProfile` gives them."""
        times = [{"name": x["name"], "averageMs": x["us"] / 1e3} for x in self.layers]
        return [{"count": 1}, *times]


def _inspected(layer: dict[str, Any]) -> dict[str, Any]:
    weights = {"Weights": {"Type": "Int8", "Count": layer["weights"]}} if "weights" in layer else {}
    return {
        "Name": layer["name"],
        "LayerType": layer["type"],
        "Inputs": [_tensor(text, f"in {i}") for i, text in enumerate(layer["reads"])],
        "Outputs": [_tensor(text, "out") for text in layer["writes"]],
        **weights,
        "TacticName": "",
    }


def _tensor(text: str, name: str) -> dict[str, Any]:
    sizes, dtype = text.split()
    dims = [int(n) for n in sizes.split("x")]
    return {"Name": name, "Dimensions": dims, "Format/Datatype": _TYPES[dtype]}


ENGINES = (
    PublicEngine("resnet18_qat", lambda: resnet18(32)),
    PublicEngine("mobilenet_v2_qat", lambda: mobilenet_v2(False)),
    PublicEngine("mobilenet_v2_qat_residuals", lambda: mobilenet_v2(True)),
)

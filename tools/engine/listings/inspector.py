"""Reads the JSON of TensorRT's engine inspector, written with detailed profiling verbosity.

Up to 10.x a tensor has one sentence for layout and type (`"Format/Datatype": "Thirty-two wide
channel vectorized row major Int8 format"`); 11.x splits it into `Format` and `Datatype`.  The
weights of a convolution are `"Weights": {"Type": "Int8", "Count": 131072}`, those of Myelin's
kernels `Constants` like in TensorRT-RTX.  ONNX names stand in `Metadata` from 8.6, before that in
the name of the kernel alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sparqc.base.reading import damaged
from sparqc.errors import SparqcError
from sparqc.tools.engine.kernel import EngineTensor, Kernel, dtype_name, layer_names
from sparqc.tools.engine.listings.kernel_names import names_in

#: The types that a sentence about a layout may name.
_TYPE_WORDS = re.compile(
    r"\b(B?FP?16|BFloat16|FP32|FP8|FP4|U?Int8|Int4|Int32|Int64|Half|Float|Double|Bool)\b", re.I
)


def parse_inspector(text: str) -> tuple[Kernel, ...]:
    """The kernels in the inspector's JSON, in order of execution.

    Raises:
        SparqcError: where it is not such JSON, or holds names only.
    """
    return kernels_of(_layers(text))


def kernels_of(layers: Sequence[Any]) -> tuple[Kernel, ...]:
    """The kernels among the inspector's `Layers`; SparqcError where these are names only."""
    if not all(isinstance(layer, dict) for layer in layers):
        raise SparqcError(
            "the engine lists only the names of its layers",
            hint="build it with detailed profiling verbosity",
        )
    with damaged("the engine inspector's answer"):
        return tuple(_kernel(x) for x in layers if x.get("Inputs") or x.get("Outputs"))


def _layers(text: str) -> list[Any]:
    with damaged("the engine inspector's answer"):
        return list(json.loads(text)["Layers"])


def _kernel(layer: Mapping[str, Any]) -> Kernel:
    tactic, name = str(layer.get("TacticName", "")), str(layer.get("Name", ""))
    nodes = layer_names(str(layer.get("Metadata", "")))
    return Kernel(
        name=name,
        layer_type=str(layer.get("LayerType", "")),
        inputs=_tensors(layer.get("Inputs", ())),
        outputs=_tensors(layer.get("Outputs", ())),
        constants=(*_tensors(layer.get("Constants", ())), *_weights(layer)),
        nodes=nodes or names_in(name),
        tactic=tactic,
        # `HasSparseWeights` says what was allowed, the tactic what was chosen.
        sparse="sparse" in tactic.lower() if tactic else None,
        from_name=not nodes,
    )


def _tensors(tensors: Sequence[Mapping[str, Any]]) -> tuple[EngineTensor, ...]:
    return tuple(
        EngineTensor(str(t.get("Name", "")), tuple(map(int, t.get("Dimensions", ()))), _dtype(t))
        for t in tensors
    )


def _dtype(tensor: Mapping[str, Any]) -> str:
    text = str(tensor.get("Datatype") or tensor.get("Format/Datatype") or tensor.get("Format", ""))
    words = _TYPE_WORDS.findall(text)
    return dtype_name(words[-1] if words else text)


def _weights(layer: Mapping[str, Any]) -> list[EngineTensor]:
    """The weights and the bias of a layer, as flat tensors: the inspector counts elements only."""
    found = []
    for what in ("Weights", "Bias"):
        given = layer.get(what)
        if isinstance(given, dict) and given.get("Count"):
            name = f"{layer.get('Name', '')}.{what}"
            found.append(EngineTensor(name, (int(given["Count"]),), dtype_name(str(given["Type"]))))
    return found

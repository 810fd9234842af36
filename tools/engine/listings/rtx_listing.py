"""Reads the `Layers:` listing that TensorRT-RTX logs at the end of a build.

Without a GPU an engine cannot be loaded, and so not be inspected; the listing in the verbose log
is all that it says of its kernels.  One line stands for one kernel (as seen in 1.7):

    Name: conv_myl0_2, LayerType: correlation, Inputs: [ { Name: x, Dimensions: [8,4,32,32],
    Strides: [...], StrideOrder: [...], Datatype: Int8, Format: (NHWC) ... }], Constants: [...],
    Outputs: [...], TacticName: ..., StreamId: 0, Metadata: [ONNX Layer: conv][ONNX Layer: relu]

`I/O Tensors:` and `Engine Metadata:` follow after an empty line.  A dimension of a network that
was built for a range of shapes is -1, also where it is a multiple of the batch: sizes can only
be read off a build for one shape.
"""

from __future__ import annotations

import re

from sparqc.errors import SparqcError
from sparqc.tools.engine.kernel import EngineTensor, Kernel, dtype_name, layer_names

_LINE = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<type>\w*), Inputs: \[(?P<inputs>.*?)\], "
    r"Constants: \[(?P<constants>.*?)\], Outputs: \[(?P<outputs>.*?)\], "
    r"TacticName: (?P<tactic>.*?), StreamId: .*?Metadata: ?(?P<metadata>.*)"
)
_TENSOR = re.compile(r"\{ Name: (.*?), Dimensions: \[([-\d, ]*)\],.*?Datatype: (\w+)")

#: Steps that order the kernels of several streams or compute shapes on the CPU.
_NOT_KERNELS = {"signal", "wait", "shape_call"}


def parse_listing(text: str) -> tuple[Kernel, ...]:
    """The kernels of one or more listings, in order of execution.

    Raises:
        SparqcError: where a line has another form, which a later release may bring.
    """
    lines = [line for line in text.splitlines() if line.startswith("Name: ")]
    if not lines:
        raise SparqcError("TensorRT-RTX built an engine and listed no kernels of it")
    kernels = (_kernel(line) for line in lines)
    return tuple(k for k in kernels if k.layer_type not in _NOT_KERNELS)


def _kernel(line: str) -> Kernel:
    match = _LINE.match(line)
    if match is None:
        raise SparqcError(
            f"TensorRT-RTX lists its kernels in a form that sparqc does not know: {line[:120]}",
            hint="please report this, with the version of TensorRT-RTX",
        )
    return Kernel(
        name=match["name"],
        layer_type=match["type"],
        inputs=_tensors(match["inputs"]),
        outputs=_tensors(match["outputs"]),
        constants=_tensors(match["constants"]),
        nodes=layer_names(match["metadata"]),
        tactic=match["tactic"],
    )


def _tensors(text: str) -> tuple[EngineTensor, ...]:
    return tuple(
        EngineTensor(name, tuple(int(d) for d in dims.split(",") if d.strip()), dtype_name(dtype))
        for name, dims, dtype in _TENSOR.findall(text)
    )

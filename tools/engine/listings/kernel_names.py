"""What the name of a kernel says of the layers in it: all there is up to TensorRT 8.5.

`conv1.weight + QuantizeLinear_7 + Conv_9 + PWN(Clip_13)` is one kernel: the layers are those of the
ONNX graph under the names of their nodes, joined by ` + ` (side by side: ` || `), pointwise ones
inside of `PWN(a, b)`.  Weights and biases stand among them under their own names, and layers that
the parser or the builder added: `(Unnamed Layer* 306) [Shuffle]`, `unsqueeze_node_after_fc.bias`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparqc.tools.engine.kernel import Kernel

_SEPARATOR = re.compile(r" \+ | \|\| |, ")
_WRAPPED = re.compile(r"PWN\((.*)\)", re.S)

#: Layers that belong to no node: the parser's, the builder's, and copies into other layouts.
_ADDED = re.compile(
    r"\(Unnamed Layer\* \d+\) \[|Reformatting CopyNode for |copied_squeeze_after_|"
    r"(un)?squeeze_(node_)?(before|after)_|reshape_(node_)?(before|after)_"
)
#: Whole kernels of that sort: their names go on with that of the kernel that they serve.
_SERVING = re.compile(r"Reformatting CopyNode for |copied_squeeze_after_")

#: The type of a layer of a listing that runs nothing: it gives a tensor another shape.
NO_KERNEL = "NoOp"


def serves(kernel: Kernel) -> bool:
    """Whether a kernel was added to bring a tensor into the layout that another one wants."""
    return kernel.from_name and _serves(kernel.name)


def names_in(kernel: str) -> tuple[str, ...]:
    """The layers in the name of a kernel, each once and in order, added ones too (`is_added`);
    none in that of a kernel that only serves another one.

    A name that was cut inside of brackets keeps them: no node is called so.
    """
    return () if _serves(kernel) else tuple(dict.fromkeys(_parts(kernel)))


def _serves(kernel: str) -> bool:
    return _SERVING.match(kernel) is not None or kernel.endswith(" copy")


def is_added(layer: str) -> bool:
    """Whether a layer belongs to no node and is no constant either."""
    return _ADDED.match(layer) is not None


def _parts(text: str) -> Iterator[str]:
    for part in _split(text):
        if wrapped := _WRAPPED.fullmatch(part):
            yield from _parts(wrapped[1])
        elif part:
            yield part


def _split(text: str) -> Iterator[str]:
    """The pieces between separators that stand outside of brackets."""
    start = 0
    for found in _SEPARATOR.finditer(text):
        piece = text[start : found.start()]
        if piece.count("(") == piece.count(")"):
            yield piece
            start = found.end()
    yield text[start:]

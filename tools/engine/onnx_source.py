"""An ONNX model on its way into a compiler: read, checked and with a name on every node.

A compiler reports kernels by the names of ONNX nodes, so every node needs one that is unique
and free of the characters that the compiler's own listing is made of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]

from sparqc.base.reading import damaged
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.input_shapes import InputSpec
from sparqc.ir.onnx.external import external_data, tensors_of
from sparqc.ir.onnx.inputs import input_specs
from sparqc.ir.onnx.meaning.faults import require_meaning
from sparqc.ir.onnx.order import sorted_nodes
from sparqc.tools.engine.kernel import Kernel

#: What an ONNX graph is given as.
Model = str | Path | onnx.ModelProto

#: Characters that listings use themselves.
_UNSAFE = re.compile(r"[\[\]{},\x00-\x1f]")


@dataclass(frozen=True)
class OnnxSource:
    """A model that a parser can read; `path` is where its external data lie, if it has a file."""

    model: onnx.ModelProto
    path: Path | None
    #: The name of a node in `model`, and the name that people know it by, where they differ.
    renamed: dict[str, str]

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs that a caller feeds."""
        return input_specs(self.model)

    def known_as(self, node: str) -> str:
        """The name by which people know a node."""
        return self.renamed.get(node, node)

    def kernel_as_known(self, kernel: Kernel) -> Kernel:
        """A kernel that names its nodes as people know them, and nothing that is no node."""
        nodes = [n for n in kernel.nodes if not kernel.from_name or n in self._names]
        return replace(kernel, nodes=tuple(map(self.known_as, nodes)), from_name=False)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(node.name for node in self.model.graph.node)

    def serialize(self) -> bytes:
        """The model as bytes; external data stay in their files.

        Raises:
            SparqcError: where the model is larger than a protobuf may be (2 GB).
        """
        try:
            return bytes(self.model.SerializeToString())
        except (EncodeError, ValueError) as error:
            raise SparqcError(
                f"the model cannot be written as one ONNX message: {error}",
                hint="a model above 2 GB needs its weights as external data, saved to a file",
            ) from error


def read_source(model: Model) -> OnnxSource:
    """Read a model from its file, or take one from memory; the caller's stays as it is.

    Raises:
        UsageError: where there is no such file.
        SparqcError: where the file is not ONNX, is cut short, its nodes form a cycle or read what
            nobody defines, or its external data are missing or outside of its folder.
    """
    with damaged("the model" if isinstance(model, onnx.ModelProto) else f"'{model}'"):
        return _source(model)


def _source(model: Model) -> OnnxSource:
    path = None if isinstance(model, onnx.ModelProto) else Path(model)
    proto = model if isinstance(model, onnx.ModelProto) else _load(Path(model))
    sorted_nodes(proto.graph)
    _check_external(proto, path)
    names = _unique_names(proto)
    if all(node.name == name for node, name in zip(proto.graph.node, names, strict=True)):
        return OnnxSource(proto, path, {})
    named = onnx.ModelProto()
    named.CopyFrom(proto)
    renamed = {}
    for node, name in zip(named.graph.node, names, strict=True):
        if _UNSAFE.search(node.name):
            renamed[name] = node.name
        node.name = name
    return OnnxSource(named, path, renamed)


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UsageError(f"there is no ONNX file '{path}'")
    try:
        proto = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise SparqcError(f"cannot read '{path}': {error.strerror}") from error
    except DecodeError as error:
        raise SparqcError(f"'{path}' is not an ONNX file, or it is cut short") from error
    if not (proto.ir_version and proto.opset_import and proto.graph.output):
        raise SparqcError(f"'{path}' is not an ONNX file, or it is cut short")
    try:
        require_meaning(proto, path.parent)
    except SparqcError as error:
        raise SparqcError(f"{path}: {error.message}", hint=error.hint) from error
    return proto


def _check_external(proto: onnx.ModelProto, path: Path | None) -> None:
    """The compiler reads external data itself, so they have to be where they may be."""
    for tensor in tensors_of(proto.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            external_data(tensor, path.parent if path else Path())


def _unique_names(proto: onnx.ModelProto) -> list[str]:
    taken: set[str] = set()
    names = []
    for node in proto.graph.node:
        wanted = node.name or "_".join([node.op_type, *node.output[:1]])
        names.append(_free(_UNSAFE.sub("_", wanted), taken))
        taken.add(names[-1])
    return names


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        name, number = f"{wanted}#{number}", number + 1
    return name

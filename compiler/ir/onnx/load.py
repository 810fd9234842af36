"""ONNX files: read with errors a person can act on, written whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,
    Message,
)

from sparqc.base.reading import damaged
from sparqc.base.whole_file import whole_file
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.onnx.external import external_data, tensors_of
from sparqc.ir.onnx.meaning.faults import require_meaning
from sparqc.ir.onnx.meaning.growth import require_finite
from sparqc.ir.onnx.metadata.readable import drop_damaged_metadata, has_damaged_metadata
from sparqc.ir.onnx.opset import opset_of
from sparqc.ir.onnx.order import describe, sorted_nodes
from sparqc.ir.onnx.skeleton import copy_fields, skeleton_of
from sparqc.ir.onnx.stated import open_sizes, replace_items

#: Opsets below are older than what onnx's version converter starts from.
LOWEST_OPSET = 7
#: protobuf's limit on a message, with room for what is no weight.
LARGEST = (1 << 31) - (1 << 20)
#: Tensors of fewer bytes stay in the model when the others go to a file beside it.
EXTERNAL_FROM = 1024

#: Types of which several numbers stand in a byte.
_BITS = {
    number: 2 if name.endswith("INT2") else 4
    for name, number in onnx.TensorProto.DataType.items()
    if name in ("FLOAT4E2M1", "UINT4", "INT4", "UINT2", "INT2")
}
_DATA_TYPES = frozenset(onnx.TensorProto.DataType.values()) - {onnx.TensorProto.UNDEFINED}
_AGAIN = "export the model anew, or copy the file again"
_PROGRAM = "programs of torch.export are read on the command line: sparqc compile FILE.pt2"


def load_onnx(path: str | os.PathLike[str], *, faulty: bool = False) -> onnx.ModelProto:
    """The model in a file, with its external data, checked to be whole and to mean something.

    With `faulty` a model that means nothing is given all the same: `faults_of` says what is wrong.
    Raises UsageError where there is no such file, and SparqcError where it is no ONNX model,
    truncated, too new, inconsistent, or keeps its data outside its own folder.
    """
    path = Path(path)
    with damaged(str(path), hint=_AGAIN):
        return _loaded(path, faulty)


def whole_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model in memory, held to what `load_onnx` holds a file to: itself, or a copy where a size
    is stated as -1, or metadata are no text.

    Raises SparqcError where it is not whole, means nothing, or leaves its data in another file.
    """
    name = "the model"
    with damaged(name, hint=_AGAIN):
        if any(t.data_location == onnx.TensorProto.EXTERNAL for t in tensors_of(model.graph)):
            raise SparqcError(
                f"{name} leaves data in another file",
                hint="give the path of the ONNX file, or load them: onnx.load(path)",
            )
        graph = model.graph
        values = (*graph.input, *graph.output, *graph.value_info)
        is_open = any(d.dim_value < 0 for v in values for d in v.type.tensor_type.shape.dim)
        if is_open or has_damaged_metadata(model):
            given, model = model, onnx.ModelProto()
            model.CopyFrom(given)
        return _require_whole(model, name, Path(), faulty=False)


def _loaded(path: Path, faulty: bool) -> onnx.ModelProto:
    return _require_whole(_parsed(path), str(path), path.parent, faulty=faulty)


def _require_whole(
    model: onnx.ModelProto, name: str, folder: Path, *, faulty: bool
) -> onnx.ModelProto:
    """The model with its external data, which lie in a folder, without sizes of -1 and without
    metadata that are no text."""
    _require_readable(model, name)
    try:
        drop_damaged_metadata(model)
        _load_external(model, folder)
        open_sizes(model)
        _require_ends(model.graph)
        order = sorted_nodes(model.graph)
        require_finite(model)
        skeleton = skeleton_of(model)
        _require_text(skeleton)
        if order != list(range(len(order))):
            _put_in_order(skeleton.graph)
        onnx.checker.check_model(skeleton)
        if not faulty:
            require_meaning(model)
    except onnx.checker.ValidationError as error:
        raise SparqcError(f"{name}: {_sentence(error)}", hint=_AGAIN) from error
    except UnicodeDecodeError as error:  # wherever a name is handled first
        raise SparqcError(f"{name} holds text that is no UTF-8", hint=_AGAIN) from error
    except SparqcError as error:
        message = error.message
        named = message if message.startswith(name) else f"{name}: {message}"
        raise SparqcError(named, hint=error.hint) from error
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        what = "is a folder, not an ONNX file" if path.is_dir() else "does not exist"
        raise UsageError(f"{path} {what}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        hint = _PROGRAM if path.suffix == ".pt2" else _AGAIN
        raise SparqcError(f"{path} is no ONNX model, or is truncated", hint=hint) from error
    except OSError as error:
        raise SparqcError(f"{path} cannot be read: {error.strerror}") from error
    return model


def _require_readable(model: onnx.ModelProto, name: str) -> None:
    opset, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if not model.ir_version and not opset:
        raise SparqcError(f"{name} is no ONNX model", hint=_AGAIN)
    if not model.HasField("graph"):
        raise SparqcError(f"{name} holds no graph", hint=_AGAIN)
    if model.ir_version > onnx.IR_VERSION:
        raise SparqcError(
            f"{name} has IR version {model.ir_version}; the installed onnx {onnx.__version__} "
            f"knows {onnx.IR_VERSION}",
            hint="install a newer onnx, or export the model with an older one",
        )
    if not LOWEST_OPSET <= opset <= newest:
        raise SparqcError(
            f"{name} has opset {opset}; {LOWEST_OPSET} to {newest} can be read",
            hint="export the model in another opset",
        )


def _require_ends(graph: onnx.GraphProto) -> None:
    """SparqcError where the checker passes over what a graph begins or ends with, or where a node
    outside of any function takes an attribute from one."""
    outputs = [o.name for o in graph.output]
    if not outputs:
        raise SparqcError("the model has no outputs", hint=_AGAIN)
    if twice := next((name for name, count in Counter(outputs).items() if count > 1), ""):
        raise SparqcError(f"the output {twice!r} is listed twice", hint=_AGAIN)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                raise SparqcError(
                    f"{describe(node)} takes {attribute.name!r} from a function around it, and "
                    "there is none",
                    hint=_AGAIN,
                )


def _put_in_order(graph: onnx.GraphProto) -> None:
    """Sort its nodes, as the checker wants them."""
    replace_items(graph.node, [graph.node[i] for i in sorted_nodes(graph)])


def _require_text(message: Message) -> None:
    """SparqcError where a name is no text, which protobuf then hands out as bytes, or an attribute
    has lost its type: neither does the checker look at."""
    if isinstance(message, onnx.AttributeProto) and not (message.type or message.ref_attr_name):
        raise SparqcError(f"the attribute {message.name!r} has no type: it is damaged", hint=_AGAIN)
    for field, found in message.ListFields():
        items = [found] if isinstance(found, (str, bytes, Message)) else found
        if field.type == field.TYPE_MESSAGE:
            for item in items:
                _require_text(item)
        elif field.type == field.TYPE_STRING and any(isinstance(i, bytes) for i in items):
            raise SparqcError(f"the text {found!r} is no UTF-8: it is damaged", hint=_AGAIN)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split("==>")[0].split())


# -- external data -------------------------------------------------------------------------------


def _load_external(model: onnx.ModelProto, folder: Path) -> None:
    for tensor in tensors_of(model.graph):
        if tensor.data_type not in _DATA_TYPES:
            raise SparqcError(f"the constant {tensor.name!r} has no known type", hint=_AGAIN)
        if any(dim < 0 for dim in tensor.dims):
            shape = list(tensor.dims)
            raise SparqcError(f"the constant {tensor.name!r} has the shape {shape}", hint=_AGAIN)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _load_tensor(tensor, folder)
        if tensor.HasField("raw_data"):
            _require_size(tensor)


def _require_size(tensor: onnx.TensorProto) -> None:
    """SparqcError where the shape of a tensor says something else than the number of its bytes."""
    bits = _BITS.get(tensor.data_type)
    bits = bits or onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    if (prod(tensor.dims) * bits + 7) // 8 != len(tensor.raw_data):
        shape = list(tensor.dims)
        raise SparqcError(
            f"the constant {tensor.name!r} of the shape {shape} holds {len(tensor.raw_data)} bytes",
            hint=_AGAIN,
        )


def _load_tensor(tensor: onnx.TensorProto, folder: Path) -> None:
    tensor.raw_data = external_data(tensor, folder).read()
    tensor.ClearField("external_data")
    tensor.data_location = onnx.TensorProto.DEFAULT


# -- writing -------------------------------------------------------------------------------------


def save_onnx(model: onnx.ModelProto, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write a model and return the files written; the same model gives the same bytes.

    Everything is written to a temporary file beside first, so that a failure leaves what was there
    before.  A model above 2 GB keeps its large tensors in `NAME.data` beside (`model` is changed
    then).  Raises SparqcError where the folder is missing, read-only or full,
    or the path is a folder or a device.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise SparqcError(f"{path} is no file and cannot be replaced", hint="name a file")
    files = [path]
    try:
        if sum(len(t.raw_data) or t.ByteSize() for t in model.graph.initializer) > LARGEST:
            files.append(path.with_name(path.name + ".data"))
            _write_whole(files[1], _moved_out(model, files[1].name))
        _write_whole(path, _serialized(model))
    except OSError as error:
        reason = error.strerror or str(error)
        raise SparqcError(
            f"{path} cannot be written: {reason}", hint="choose another place with -o"
        ) from error
    return tuple(files)


def _write_whole(path: Path, chunks: Iterator[bytes]) -> None:
    with whole_file(path) as stream:
        for chunk in chunks:
            stream.write(chunk)


def _serialized(model: onnx.ModelProto) -> Iterator[bytes]:
    """The bytes of a model, one initializer at a time: protobuf itself would copy all at once."""
    rest, graph = onnx.ModelProto(), onnx.GraphProto()
    copy_fields(model, rest, without=("graph",))
    copy_fields(model.graph, graph, without=("initializer",))
    head = graph.SerializeToString(deterministic=True)
    tensors = model.graph.initializer
    prefixes = [_prefix(_INITIALIZER, t.ByteSize()) for t in tensors]
    size = len(head) + sum(len(p) + t.ByteSize() for p, t in zip(prefixes, tensors, strict=True))
    yield rest.SerializeToString(deterministic=True)
    yield _prefix(_GRAPH, size) + head
    for prefix, tensor in zip(prefixes, tensors, strict=True):
        yield prefix
        yield tensor.SerializeToString(deterministic=True)


#: Field numbers of ModelProto.graph and GraphProto.initializer, which the format fixes.
_GRAPH, _INITIALIZER = 7, 5


def _prefix(field: int, size: int) -> bytes:
    """What stands in front of a message inside another: its tag and its length as a varint."""
    prefix = bytearray([field << 3 | 2])
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix)


def _moved_out(model: onnx.ModelProto, location: str) -> Iterator[bytes]:
    """The bytes of the large tensors, one after the other; each then points to its place."""
    offset = 0
    for tensor in model.graph.initializer:
        data = tensor.raw_data
        if len(data) < EXTERNAL_FROM:
            continue
        entries = {"location": location, "offset": str(offset), "length": str(len(data))}
        tensor.ClearField("raw_data")
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        offset += len(data)
        yield data

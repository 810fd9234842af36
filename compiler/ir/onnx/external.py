"""External data of ONNX models: they lie in the folder of the model and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from sparqc.errors import SparqcError
from sparqc.ir.onnx.order import subgraphs_of

_AGAIN = "export the model anew, or copy the file again"


@dataclass(frozen=True)
class ExternalData:
    """Bytes of a file beside the model."""

    file: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """The bytes.  Raises OSError where the system refuses."""
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.length)


def external_data(tensor: onnx.TensorProto, folder: Path) -> ExternalData:
    """Where the data of an external tensor lie, for a model in that folder.

    Raises:
        SparqcError: where they lie outside of the folder, also behind a symbolic link, where the
            file is missing or too short, or the place is none.
    """
    entries = {e.key: e.value for e in tensor.external_data}
    location = entries.get("location", "")
    try:
        file = folder / location
        if not location or not _inside(file, folder):
            raise SparqcError(
                f"the data of {tensor.name!r} is said to be in {location[:200]!r}, outside of the "
                "model's folder",
                hint="external data is only read from the folder of the model",
            )
        size = file.stat().st_size if file.is_file() else None
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a loop of links
        raise SparqcError(
            f"the data of {tensor.name!r} is said to be in {location[:200]!r}, which names no file",
            hint=_AGAIN,
        ) from error
    if size is None:
        raise SparqcError(
            f"the data of {tensor.name!r} is missing: there is no file {location!r} beside the "
            "model",
            hint="copy the data file together with the model",
        )
    offset, length = _range(entries, tensor.name)
    end = offset + max(length, 0)
    if end > size:
        raise SparqcError(
            f"the data of {tensor.name!r} is cut off: {location!r} is too short", hint=_AGAIN
        )
    return ExternalData(file, offset, size - offset if length < 0 else length)


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in subgraphs_of(attribute):
                yield from tensors_of(inner)


def _range(entries: dict[str, str], name: str) -> tuple[int, int]:
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
    except ValueError:
        offset, length = -1, -1
    if offset < 0 or length < -1:
        raise SparqcError(f"the place of the data of {name!r} is damaged", hint=_AGAIN)
    return offset, length


def _inside(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve()) and not Path(file.name).is_absolute()

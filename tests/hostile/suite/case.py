"""One hostile input: how it is written, and which commands read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import onnx

#: "refused": no command may end with 0; "allowed": each may; "same": and what a float compile
#: writes computes what the file does.
Verdict = Literal["refused", "allowed", "same"]
#: The words of a command line; `{file}` is the hostile file, `{out}` a place for a result.
Command: TypeAlias = Sequence[str]

_NOISE = "--random-calibration"
COMPILES: tuple[Command, ...] = (
    ("compile", "{file}", "--passes", "float", "-o", "{out}"),
    ("compile", "{file}", "--passes", "int8", _NOISE, "-o", "{out}"),
    ("compile", "{file}", _NOISE, "-o", "{out}"),
)
#: What is asked of every ONNX file.
OF_ONNX: tuple[Command, ...] = (
    ("check", "{file}"),
    ("check", "{file}", "--fix", "-o", "{out}"),
    ("explain", "{file}"),
    *COMPILES,
    ("inspect", "{file}"),
)


@dataclass(frozen=True)
class Case:
    """A file that `write` makes in an empty folder; gives its path."""

    name: str
    write: Callable[[Path], Path]
    commands: Sequence[Command]
    verdict: Verdict = "same"


def onnx_cases(
    kind: str,
    models: Mapping[str, Callable[[], onnx.ModelProto]],
    verdict: Verdict = "same",
    commands: Sequence[Command] = OF_ONNX,
) -> Iterator[Case]:
    """Models in memory, as files."""
    for name, make in models.items():

        def write(folder: Path, make: Callable[[], onnx.ModelProto] = make) -> Path:
            path = folder / "model.onnx"
            path.write_bytes(make().SerializeToString())
            return path

        yield Case(f"{kind}: {name}", write, commands, verdict)


def text_cases(
    kind: str,
    texts: Mapping[str, str | bytes],
    name: str,
    commands: Sequence[Command],
    verdict: Verdict = "refused",
) -> Iterator[Case]:
    """Files of text, or of bytes, under one name."""
    for title, text in texts.items():

        def write(folder: Path, text: str | bytes = text) -> Path:
            path = folder / name
            data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
            path.write_bytes(data)
            return path

        yield Case(f"{kind}: {title}", write, commands, verdict)

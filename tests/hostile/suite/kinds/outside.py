"""ONNX files whose data lie in other files, or should."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx

from tests.hostile.suite.case import OF_ONNX, Case
from tests.hostile.suite.kinds.networks import conv, weight

BUILD = (("build", "{file}"),)


def cases() -> Iterator[Case]:
    size = weight().nbytes
    for title, entries in _entries(size).items():
        yield _case(title, entries)
    yield _case("a folder", {"location": "folder"}, lambda d: (d / "folder").mkdir())
    yield _case("a pipe", {"location": "pipe"}, lambda d: os.mkfifo(d / "pipe"))
    yield _case(
        "a link to the outside",
        {"location": "link"},
        lambda d: (d / "link").symlink_to("/etc/passwd"),
    )
    yield _case(
        "a link in a circle", {"location": "link"}, lambda d: (d / "link").symlink_to("link")
    )
    yield _case(
        "a link to a device", {"location": "z"}, lambda d: (d / "z").symlink_to("/dev/zero")
    )
    yield _case(
        "no permission", {"location": "w.bin"}, lambda d: _written(d).chmod(0), verdict="allowed"
    )
    yield _case("a file of its own", {"location": "w.bin"}, _written, verdict="allowed")
    yield _case("a checksum that lies", {"location": "w.bin", "checksum": "0"}, _written, "allowed")
    yield _case("an unknown key", {"location": "w.bin", "colour": "red"}, _written, "allowed")
    for title, value in (("NaN", float("nan")), ("infinity", float("inf"))):
        yield _case(
            f"weights of {title}",
            {"location": "w.bin"},
            lambda d, value=value: _written(d, value),
            commands=(*OF_ONNX, *BUILD),
        )


def _entries(size: int) -> dict[str, dict[str, str]]:
    """What an external tensor says of its place; the file `w.bin` is missing."""
    here = {"location": "w.bin"}
    return {
        "nothing": {},
        "no such file": {"location": "missing.bin"},
        "an empty name": {"location": ""},
        "the folder above": {"location": "../w.bin"},
        "an absolute path": {"location": "/etc/passwd"},
        "a name of 10^5 letters": {"location": "w" * 100_000},
        "a zero byte": {"location": "w\0.bin"},
        "the model itself": {"location": "model.onnx", "offset": "0", "length": str(size)},
        "a device": {"location": "/dev/zero"},
        "an address": {"location": "https://example.com/w.bin"},
        "an offset of 10^40": {**here, "offset": "1" + "0" * 40},
        "an offset of 5,000 digits": {**here, "offset": "9" * 5000},
        "an offset of -1": {**here, "offset": "-1"},
        "an offset that is text": {**here, "offset": "zero"},
        "a length of -7": {**here, "length": "-7"},
        "a length of 2^62": {**here, "length": str(2**62)},
        "a length of 3": {**here, "length": "3"},
    }


def _written(folder: Path, value: float = 0.5) -> Path:
    array = weight()
    array[0, 0, 0, 0] = value
    path = folder / "w.bin"
    path.write_bytes(array.tobytes())
    return path


def _case(
    title: str,
    entries: dict[str, str],
    prepare: Callable[[Path], object] = lambda folder: None,
    verdict: str = "refused",
    commands: tuple = OF_ONNX,
) -> Case:
    def write(folder: Path) -> Path:
        made = conv()
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        prepare(folder)
        if entries.get("offset") or entries.get("length"):
            _written(folder)
        path = folder / "model.onnx"
        path.write_bytes(made.SerializeToString())
        return path

    return Case(f"external: {title}", write, commands, verdict)  # type: ignore[arg-type]

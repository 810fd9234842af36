"""Exported programs that are damaged; `tests/hostile/test_programs.py` has those that would act."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.hostile.programs import nodes, save_program
from tests.hostile.suite.case import Case

COMMANDS = (
    ("inspect", "{file}"),
    ("compile", "{file}", "--passes", "float", "-o", "{out}"),
)
PROGRAM = "models/model.json"


def cases() -> Iterator[Case]:
    for title, make in _archives().items():

        def write(folder: Path, make: Callable[[], bytes] = make) -> Path:
            path = folder / "model.pt2"
            path.write_bytes(make())
            return path

        yield Case(f"programs: {title}", write, COMMANDS, "refused")


@functools.cache
def _good() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_program(Path(folder) / "m.pt2")
        return (Path(folder) / "m.pt2").read_bytes()


def _archives() -> dict[str, Callable[[], bytes]]:
    return {
        "empty": lambda: b"",
        "text": lambda: b"hello",
        "half": lambda: _good()[: len(_good()) // 2],
        "zeros": lambda: bytes(10_000),
        "an empty archive": lambda: _archive({}),
        "another archive": lambda: _archive({"a": b"b"}),
        "no program": lambda: _without(PROGRAM),
        "a program that is text": lambda: _replaced(PROGRAM, b"hello"),
        "a program that is a list": lambda: _replaced(PROGRAM, b"[]"),
        "a program that is null": lambda: _replaced(PROGRAM, b"null"),
        "a program 10^5 deep": lambda: _replaced(PROGRAM, b"[" * 100_000),
        "a program of a number": lambda: _replaced(PROGRAM, b"9" * 100_000),
        "no nodes": lambda: _edited(lambda p: nodes(p).clear()),
        "nodes of null": lambda: _edited(lambda p: p["graph_module"]["graph"].update(nodes=None)),
        "nodes twice": lambda: _edited(lambda p: nodes(p).extend(list(nodes(p)))),
        "nodes reversed": lambda: _edited(lambda p: nodes(p).reverse()),
        "no outputs": lambda: _edited(lambda p: p["graph_module"]["graph"].update(outputs=[])),
        "no inputs": lambda: _edited(lambda p: p["graph_module"]["graph"].update(inputs=[])),
        "no signature": lambda: _edited(lambda p: p["graph_module"].pop("signature")),
        "an operator of nobody": lambda: _targeted("torch.ops.aten.nothing.default"),
        "an operator of text": lambda: _targeted("hello"),
        "an operator of 10^5 letters": lambda: _targeted("torch.ops.aten." + "a" * 100_000),
        "arguments of nothing": lambda: _edited(lambda p: nodes(p)[0].update(inputs=[])),
        "a schema of 2^40": lambda: _edited(lambda p: p.update(schema_version={"major": 2**40})),
    }


def _archive(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _entries() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(_good())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _without(ending: str) -> bytes:
    return _archive({n: d for n, d in _entries().items() if not n.endswith(ending)})


def _replaced(ending: str, data: bytes) -> bytes:
    return _archive({n: data if n.endswith(ending) else d for n, d in _entries().items()})


def _edited(change: Callable[[Any], object]) -> bytes:
    (text,) = (d for n, d in _entries().items() if n.endswith(PROGRAM))
    program = json.loads(text)
    change(program)
    return _replaced(PROGRAM, json.dumps(program).encode())


def _targeted(target: str) -> bytes:
    return _edited(lambda p: nodes(p)[0].update(target=target))

"""Witnesses: what the kernels of real engines were seen to do, on which the predictions rest.

A witness is a table of a TOML file in a folder `witnesses` of a pattern package, or in a folder of
a person's own.  It holds sizes, types and times, and no name of a network's layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from sparqc.base.plugins import DataFile, data_files
from sparqc.base.toml_tables import Table, tables_of
from sparqc.declared.gpus import Gpu, gpus
from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.predict.layer_shape import LayerShape

Dtype = Literal["int8", "int4", "float4", "float8", "float16", "bfloat16", "float32"]
Epilogue = Literal["add", "activation", "pool"]
#: A release, as its makers number it.
VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,4}(\.[0-9]{1,5}){0,2}")
#: The folder in which pattern packages keep witnesses.
_FOLDER = "/witnesses/"


@dataclass(frozen=True)
class SeenKernel:
    """A kernel with one weighted operator: an entry of `kernels` in a witness.

    The sizes are those of `LayerShape`.
    """

    operator: Literal["conv", "conv_transpose", "matmul"]
    k: int
    c: int
    rows: int
    #: The type that it multiplies in.
    computes: Dtype
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    groups: int = 1
    #: The types of the activations that it reads and writes; none where that was not seen.
    reads: tuple[Dtype, ...] = ()
    writes: tuple[Dtype, ...] = ()
    #: What it does behind the products.
    epilogue: tuple[Epilogue, ...] = ()
    #: Whether its weight is 2:4 and its channels are such that a sparse kernel may run.
    eligible: bool = False
    #: Whether a sparse kernel ran, where these were allowed; None where that was not seen.
    sparse: bool | None = None
    #: Microseconds in an engine without sparse kernels, and in one in which they were allowed.
    dense_us: float | None = None
    sparse_us: float | None = None

    @property
    def sizes(self) -> LayerShape:
        """What likeness is told by."""
        return LayerShape(
            self.operator, self.k, self.c, self.rows, self.kernel, self.stride, self.groups,
            adds="add" in self.epilogue,
        )  # fmt: skip

    @property
    def timed(self) -> bool:
        """Whether a time was measured."""
        return self.dense_us is not None or self.sparse_us is not None


@dataclass(frozen=True)
class _Head:
    """A table as it stands in the file, without its kernels."""

    name: str
    gpu: str
    compiler: str
    version: str
    batch: int
    #: How INT8 came about.
    quantized: Literal["q-dq", "calibration", "none"]
    #: What the network is, in words for people.
    network: str = ""
    #: Where the figures were published, and on what terms; "" of an engine of one's own.
    source: str = ""
    license: str = ""
    #: Microseconds of the whole network, without and with sparse kernels where these pay.
    dense_us: float | None = None
    sparse_us: float | None = None
    #: How many times faster it was with them, where only that is known.
    gain: float | None = None


@dataclass(frozen=True)
class Witness:
    """One engine that ran on a GPU."""

    head: _Head
    gpu: Gpu
    kernels: tuple[SeenKernel, ...]
    #: Where it stands.
    file: str

    @property
    def name(self) -> str:
        """The name of its table."""
        return self.head.name

    @property
    def timed(self) -> int:
        """The kernels with times."""
        return sum(k.timed for k in self.kernels)

    @property
    def sparse(self) -> int:
        """The kernels that ran sparse."""
        return sum(bool(k.sparse) for k in self.kernels)

    @property
    def told(self) -> int:
        """The kernels that might have run sparse and of which it was seen whether they did."""
        return sum(k.eligible and k.sparse is not None for k in self.kernels)

    @property
    def built_with(self) -> str:
        """The compiler and its version."""
        return f"{self.head.compiler} {self.head.version}"

    @property
    def engine(self) -> str:
        """The GPU, and what built it: `A40, ...`."""
        return f"{self.gpu.doc}, {self.built_with}"

    @property
    def whole(self) -> str:
        """What is known of the time of the whole network, in words; "" where nothing is."""
        head = self.head
        times = {"": head.dense_us, " with sparse kernels": head.sparse_us}
        known = [f"{us / 1e3:g} ms{where}" for where, us in times.items() if us is not None]
        known += [] if head.gain is None else [f"{head.gain:g} times faster with sparse kernels"]
        return ", ".join(known)

    def __str__(self) -> str:
        network = f", {self.head.network}" if self.head.network else ""
        return f"{self.name} ({self.engine}{network})"

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not known is left out of kernels."""
        own = {**vars(self.head), "file": self.file, "generation": self.gpu.generation.name}
        return {**own, "kernels": [dict(_filled(k)) for k in self.kernels]}


def _filled(kernel: SeenKernel) -> Iterator[tuple[str, Any]]:
    for key, value in vars(kernel).items():
        if value not in (None, ()):
            yield key, list(value) if isinstance(value, tuple) else value


@cache
def _of_packages() -> Mapping[str, Witness]:
    return MappingProxyType(read_witnesses(f for f in data_files(".toml") if _FOLDER in f.label))


def witnesses(folders: Sequence[Path] = ()) -> Mapping[str, Witness]:
    """Every witness by name: those of the pattern packages, then those in folders of one's own.

    Raises:
        UsageError: there is no such folder, or no witness in it.
        SparqcError: a file is broken, or two witnesses have one name.
    """
    if not folders:
        return _of_packages()
    packages = [f for f in data_files(".toml") if _FOLDER in f.label]
    own = [file for folder in folders for file in _own(folder)]
    found = read_witnesses([*packages, *own])
    for file in own:
        if all(w.file != file.label for w in found.values()):
            raise SparqcError(f"{file.label} holds no witness", hint="remove it, or write it anew")
    return found


def _own(folder: Path) -> list[DataFile]:
    if not folder.is_dir():
        raise UsageError(f"there is no folder '{folder}' with witnesses")
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise UsageError(
            f"there is no witness in '{folder}'", hint="they are files named *.toml, which "
            "`sparqc explain --engine LISTING --learn` writes",
        )  # fmt: skip
    return [DataFile(str(path), "", path) for path in files]


def witness(name: str) -> Witness:
    """The witness of that name of a pattern package; UsageError where there is none."""
    known = witnesses()
    if name not in known:
        raise UsageError(f"there is no witness {name!r}", hint=did_you_mean(name, known))
    return known[name]


# -- reading ---------------------------------------------------------------------------------------


def read_witnesses(files: Iterable[DataFile]) -> dict[str, Witness]:
    """The witnesses in some files by name; SparqcError where a file is broken."""
    return {name: _witness(table) for name, table in tables_of(files, "witnesses").items()}


def _witness(table: Table) -> Witness:
    values = dict(table.values)
    listed = values.pop("kernels", [])
    head = replace(table, values=values).read_as(_Head)
    if not VERSION.fullmatch(head.version):
        raise table.error(f"version = {head.version!r} is no number of a release such as 10.3")
    known = gpus()
    if head.gpu not in known:
        raise table.error(f"nothing is known of a GPU {head.gpu!r}", did_you_mean(head.gpu, known))
    if not (isinstance(listed, list) and all(isinstance(row, dict) for row in listed)):
        raise table.error("`kernels` is no list of tables {operator = …, k = …}")
    _check(table, {"batch": head.batch, **_times(head)})
    kernels = tuple(_kernel(row, index, table) for index, row in enumerate(listed, 1))
    if not kernels and not _times(head):
        raise table.error("it has neither kernels nor a time of the whole network")
    return Witness(head, known[head.gpu], kernels, table.file.label)


def _kernel(row: dict[str, Any], index: int, table: Table) -> SeenKernel:
    entry = Table(f"{table.name}.kernels, entry {index}", row, table.file)
    kernel = entry.read_as(SeenKernel)
    _check(entry, {name: getattr(kernel, name) for name in ("k", "c", "rows", "groups")})
    _check(
        entry, {"kernel": min(kernel.kernel, default=1), "stride": min(kernel.stride, default=1)}
    )
    _check(entry, _times(kernel))
    if kernel.sparse and not kernel.eligible:
        raise entry.error("a sparse kernel cannot have run of what is not eligible")
    return kernel


def _times(seen: _Head | SeenKernel) -> dict[str, float]:
    names = ("dense_us", "sparse_us", "gain")
    found = {name: getattr(seen, name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _check(table: Table, figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        if not 0 < value < 1e15:
            raise table.error(f"{name} = {value} has to be above 0")

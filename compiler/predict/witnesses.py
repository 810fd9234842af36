"""Witnesses, on which predictions rest: tables of TOML files in the folders `witnesses` of pattern
packages, and of files of a person's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sparqc.base.plugins import DataFile, data_files
from sparqc.base.toml_tables import Table, tables_of
from sparqc.declared.gpus import gpus
from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.predict.witness import Head, SeenKernel, Witness

#: A release, as its makers number it.
VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,4}(\.[0-9]{1,5}){0,2}")
#: The folder in which pattern packages keep witnesses.
_FOLDER = "/witnesses/"


@cache
def _of_packages() -> Mapping[str, Witness]:
    return MappingProxyType(read_witnesses(f for f in data_files(".toml") if _FOLDER in f.label))


def witnesses(own: Sequence[Path] = ()) -> Mapping[str, Witness]:
    """Every witness by name: those of the pattern packages, then those of one's own, in files or in
    folders with such.

    Raises:
        UsageError: there is no such file or folder, or no witness in it.
        SparqcError: a file is broken, or two witnesses have one name.
    """
    if not own:
        return _of_packages()
    packages = [f for f in data_files(".toml") if _FOLDER in f.label]
    mine = [file for path in own for file in _own(path)]
    found = read_witnesses([*packages, *mine])
    for file in mine:
        if all(w.file != file.label for w in found.values()):
            raise SparqcError(f"{file.label} holds no witness", hint="remove it, or write it anew")
    return found


def _own(path: Path) -> list[DataFile]:
    if not path.exists():
        raise UsageError(f"there is no file and no folder '{path}' with witnesses")
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise UsageError(
            f"there is no witness in '{path}'",
            hint="they are files named *.toml, which `sparqc explain --engine LISTING --learn` "
            "writes",
        )
    return [DataFile(str(file), "", file) for file in files]


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
    head = replace(table, values=values).read_as(Head)
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


def _times(seen: Head | SeenKernel) -> dict[str, float]:
    names = ("dense_us", "sparse_us", "gain")
    found = {name: getattr(seen, name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _check(table: Table, figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        if not 0 < value < 1e15:
            raise table.error(f"{name} = {value} has to be above 0")

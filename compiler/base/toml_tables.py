"""Named tables in the TOML files of pattern packages: presets and target profiles."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, TypeVar, get_type_hints

from sparqc.base.options import convert
from sparqc.base.plugins import DataFile, data_files
from sparqc.base.reading import damaged
from sparqc.errors import Span, SparqcError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """One `[name]` table of a file."""

    name: str
    values: Mapping[str, Any]
    file: DataFile

    def error(self, message: str, hint: str = "") -> SparqcError:
        """An error that says where the table stands."""
        return SparqcError(f"{self.file.label}, table [{self.name}]: {message}", hint=hint)

    def read_as(self, cls: type[T], **given: object) -> T:
        """The table as a dataclass with a field for each key, and `name` if it has that; for what
        is given there is no key.

        Raises SparqcError for an unknown key, a missing one, and a value of the wrong type.
        """
        kinds = get_type_hints(cls)
        every: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]
        known = {f.name: f for f in every if f.name not in given}
        values = {key: self._value(key, kinds, known) for key in self.values}
        for key, field in known.items():
            optional = field.default is not MISSING or field.default_factory is not MISSING
            if key != "name" and key not in values and not optional:
                raise self.error(f"{key!r} is missing")
        own = {"name": self.name} if "name" in known else {}
        return cls(**own, **values, **given)

    def _value(self, key: str, kinds: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
        if key not in known or key == "name":
            raise self.error(f"unknown key {key!r}", did_you_mean(key, set(known) - {"name"}))
        try:
            return convert(self.values[key], kinds[key])
        except ValueError as error:
            raise self.error(f"{key!r} {error}") from error


def tables(file_name: str, what: str) -> dict[str, Table]:
    """The tables of all files of that name, by the table's name; errors as of `tables_of`."""
    return tables_of(data_files(f"/{file_name}"), what)


def tables_of(files: Iterable[DataFile], what: str) -> dict[str, Table]:
    """The tables of some files, by the table's name.

    Raises SparqcError for text that is no TOML and for a name that two files declare.
    """
    found: dict[str, Table] = {}
    for table in (t for file in files for t in _read(file)):
        if other := found.get(table.name):
            raise SparqcError(
                f"two {what} are named {table.name!r}: in {other.file} and in {table.file}",
                hint="rename one of them, or take away the file or distribution that you do not "
                "need",
            )
        found[table.name] = table
    return found


def _read(file: DataFile) -> Iterator[Table]:
    text = file.read()
    try:
        with damaged(file.label, passing=tomllib.TOMLDecodeError):
            content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, span = _place(str(error), text, file)
        raise SparqcError(message, span=span) from error
    for name, values in content.items():
        table = Table(name, values if isinstance(values, dict) else {}, file)
        if not isinstance(values, dict):
            raise table.error("is no table", f"write [{name}] on a line of its own")
        yield table


def _place(message: str, text: str, file: DataFile) -> tuple[str, Span]:
    """Take `(at line 3, column 5)` off the message of tomllib."""
    if found := re.search(r" \(at line (\d+), column (\d+)\)$", message):
        line, column = int(found[1]), int(found[2])
        shown = text.splitlines()[line - 1] if line <= len(text.splitlines()) else ""
        return message[: found.start()], Span(file.label, line, column, text=shown)
    lines = text.splitlines() or [""]
    said = message.replace("(at end of document)", "at the end of the file, which may be cut")
    return said, Span(file.label, len(lines), len(lines[-1]) + 1, text=lines[-1])

"""What installed distributions contribute: modules and files, found through entry points.

An entry point of the group "sparqc.passes" names a module that registers passes and natives when it
is imported; where it names a package, every module inside is imported, but for packages that say by
name which of theirs register: `__registers__ = ("place",)`.  Where all natives of the package stand
in some of its modules, `__natives__ = ("natives",)` names those.

One of "sparqc.patterns" names a package whose pattern files and TOML tables are found wherever they
lie in it.  One of "sparqc.operators" names a module or an iterable of operators (see
`sparqc.ir.vocabulary.table`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType

from sparqc.base.reading import read_text
from sparqc.errors import SparqcError

PASSES, PATTERNS, OPERATORS = "sparqc.passes", "sparqc.patterns", "sparqc.operators"
GROUPS = (PASSES, PATTERNS, OPERATORS)
#: The distribution that this file is part of; what it contributes comes first.
OWN = "sparqc"


@dataclass(frozen=True)
class Plugin:
    """One entry point: `name = value` of `group`, declared by a distribution."""

    group: str
    name: str
    value: str
    distribution: str

    @property
    def module(self) -> str:
        """The module that the entry point names, without an attribute in it."""
        return self.value.partition(":")[0].strip()

    def load(self) -> object:
        """The object that the entry point names; SparqcError where it cannot be imported."""
        with self._blamed():
            entry = importlib.metadata.EntryPoint(self.name, self.value, self.group)
            return entry.load()

    def load_modules(self) -> None:
        """Import the module, and where it is a package every module inside it that may register."""
        with self._blamed():
            _import_all(importlib.import_module(self.module))

    def load_natives(self) -> None:
        """Import what may register natives: the modules that `__natives__` names, else all."""
        with self._blamed():
            module = importlib.import_module(self.module)
            if not hasattr(module, "__natives__"):
                _import_all(module)
                return
            for name in module.__natives__:
                _import_all(importlib.import_module(f"{module.__name__}.{name}"))

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except SparqcError:
            raise
        except (Exception, SystemExit) as error:
            raise SparqcError(
                f"the plug-in {self.distribution!r} cannot be loaded: {_cause(error)}\n"
                f"  entry point: {self.name} = {self.value!r} in [{self.group}]",
                hint=f"repair the plug-in, or remove it: pip uninstall {self.distribution}",
            ) from error


def _cause(error: BaseException) -> str:
    """`ValueError: text (file.py:12)`, with the place where it was raised."""
    stack = traceback.extract_tb(error.__traceback__)
    frames = [f for f in stack if "importlib" not in f.filename]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _import_all(module: ModuleType) -> None:
    for name in _registering(module):
        _import_all(importlib.import_module(f"{module.__name__}.{name}"))


def _registering(module: ModuleType) -> Iterable[str]:
    """The modules inside that may register passes or natives: those that `__registers__` names, by
    default all.

    What passes only use is imported when they run: it may bring torch, which takes a second.
    """
    inside = {found.name for found in pkgutil.iter_modules(getattr(module, "__path__", ()))}
    return sorted(getattr(module, "__registers__", inside - {"__main__"}))


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """The entry points of a group: sparqc's own first, the others by name."""
    found = [
        Plugin(group, entry.name, entry.value, entry.dist.name if entry.dist else "?")
        for entry in importlib.metadata.entry_points(group=group)
    ]
    return tuple(sorted(found, key=lambda p: (p.distribution != OWN, p.distribution, p.name)))


@cache
def load_group(group: str) -> None:
    """Import the modules of every entry point of a group, once."""
    for plugin in plugins(group):
        plugin.load_modules()


@cache
def load_natives() -> None:
    """Import what of the entry points of passes may register natives, once."""
    for plugin in plugins(PASSES):
        plugin.load_natives()


def distribution_of(module: str) -> str:
    """The distribution that a module came with, for error messages; "" where none is known."""
    for plugin in (p for group in GROUPS for p in plugins(group)):
        if f"{module}.".startswith(f"{plugin.module}."):
            return plugin.distribution
    owners = importlib.metadata.packages_distributions().get(module.partition(".")[0], ())
    return owners[0] if owners else ""


@dataclass(frozen=True)
class DataFile:
    """A file of a pattern package, or one of a person's own."""

    #: The same on every machine: "patterns/algebra/fold.spq", "sparqc_toy/patterns/presets.toml".
    label: str
    #: "" of a person's own.
    distribution: str
    path: Traversable = field(compare=False)

    def __str__(self) -> str:
        of = f" of the distribution {self.distribution!r}" if self.distribution else ""
        return f"{self.label}{of}"

    def read(self) -> str:
        """The text; SparqcError where the file cannot be read or is not UTF-8."""
        if isinstance(self.path, Path) and not self.distribution:
            return read_text(self.path)
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SparqcError(
                f"{self.label} of {self.distribution!r} cannot be read: {error}",
                hint="reinstall the distribution",
            ) from error


@cache
def data_files(ending: str) -> tuple[DataFile, ...]:
    """The files of every pattern package whose names end so, sorted within each package."""
    return tuple(
        DataFile(path, plugin.distribution, file)
        for plugin in plugins(PATTERNS)
        for path, file in _walk(_package_folder(plugin), _label(plugin))
        if path.endswith(ending)
    )


def _label(plugin: Plugin) -> str:
    """What the paths in a package begin with: for sparqc's own, as in its repository."""
    return plugin.module.removeprefix(f"{OWN}.").replace(".", "/") + "/"


def _package_folder(plugin: Plugin) -> Traversable:
    with plugin._blamed():
        module = importlib.import_module(plugin.module)
        if not hasattr(module, "__path__"):
            raise TypeError(f"{plugin.module} is a module; pattern files lie in a package")
        return files(module)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        path = f"{prefix}{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _walk(entry, f"{path}/")
        elif entry.is_file():
            yield path, entry

"""The front-end libraries that are kept in `vendor/`, each with its licence."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

VENDOR = Path(__file__).parent / "vendor"


@dataclass(frozen=True)
class Library:
    """One package of npm: the file of it that is kept, and whether a worker loads it."""

    name: str
    version: str
    #: As SPDX calls it.
    license: str
    file: str
    worker: bool = False

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return VENDOR / self.name.rpartition("/")[2]

    @cached_property
    def code(self) -> str:
        """The script, without the address of a source map that is not there."""
        text = (self.folder / Path(self.file).name).read_text(encoding="utf-8")
        kept = (x for x in text.splitlines() if not x.startswith("//# sourceMappingURL="))
        return "\n".join(kept) + "\n"

    @cached_property
    def licence(self) -> str:
        """The text of its licence, which every copy has to hold."""
        return (self.folder / "LICENSE").read_text(encoding="utf-8")


def libraries() -> list[Library]:
    """All of them, in the order in which they are loaded."""
    with (VENDOR / "packages.toml").open("rb") as file:
        return [Library(**package) for package in tomllib.load(file)["package"]]

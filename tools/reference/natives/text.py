"""Natives on a terminal, and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparqc.base.plugins import OWN
from sparqc.tools.reference.markdown import code, generated, listed, table
from sparqc.tools.reference.natives.entry import NativeEntry

_MARK = generated("sparqc natives --write docs/natives.md")
_HEAD = """\
The Python functions that pattern files call as `@name(...)`. How to write one of your own stands in
[the language](language.md#functions-in-python). `sparqc natives NAME` prints the same, with those
of plug-ins and of `--import`; `--json` gives it as data
([cli.md](cli.md#the-words-of-pattern-files))."""


def lines(entry: NativeEntry) -> Iterator[str]:
    """What `sparqc natives NAME` prints."""
    yield f"{entry.signature}  ({entry.file})"
    yield from (f"  {line}".rstrip() for line in entry.native.doc.splitlines())
    yield ""
    for name, given in entry.parameters.items():
        yield f"  {name:<12}{given}"
    yield f"  {'called as':<12}{entry.example}"
    if entry.used_by:
        yield f"  {'called by':<12}{', '.join(entry.used_by)}"


def page(known: Mapping[str, NativeEntry]) -> str:
    """The text of docs/natives.md: sparqc's own natives."""
    own = [entry for entry in known.values() if entry.distribution == OWN]
    index = table(
        ("native", "what it says"),
        [(f"[`@{e.native.name}`](#{e.native.name})", first_sentence(e)) for e in own],
    )
    return "\n\n".join([_MARK, "# Natives", _HEAD, index, *map(section, own)]) + "\n"


def first_sentence(entry: NativeEntry) -> str:
    """The first sentence of its docstring, on one line."""
    paragraph = " ".join(entry.native.doc.partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".") + "."


def section(entry: NativeEntry, *, linked: bool = True) -> str:
    """The section of the page; `linked` where its file lies beside docs."""
    return "\n\n".join(_parts(entry, linked))


def _parts(entry: NativeEntry, linked: bool) -> Iterator[str]:
    yield f"## {entry.native.name}\n\n{entry.native.doc}"
    yield code(entry.signature)
    if entry.parameters:
        rows = [(f"`{name}`", given) for name, given in entry.parameters.items()]
        yield table(("argument", "what stands there"), rows)
    yield f"Called as `{entry.example}`."
    used = f", called by {listed(entry.used_by)}" if entry.used_by else ""
    file = f"[{entry.file}](../{entry.file})" if linked else entry.file
    yield f"Defined in {file}{used}."

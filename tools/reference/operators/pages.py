"""The pages of docs/operators: one for each family of the table, and a list of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from sparqc.tools.reference.markdown import generated, table
from sparqc.tools.reference.operators.entry import Family, OperatorEntry
from sparqc.tools.reference.operators.text import anchor, section

_MARK = generated("sparqc ops --write docs/operators")
_HEAD = """\
What pattern files call each operator, on both levels. `sparqc ops NAME` prints the same, with the
operators of plug-ins; `--json` gives it as data ([cli.md](../cli.md#the-words-of-pattern-files)).

The line of each is one of a match block. It names every operand, and every attribute with its
default: leave out what may be anything (attributes are open), write `...` for the operands that do
not matter, and give a name where you want to use it. An attribute without a default has its own
name there. *ATen* and *ONNX* list what is read as the operator; where there is nothing, the
level's graphs do not have it: it becomes several others there. What the traits mean stands in
[the language](../language.md#traits); *named by* are the declarations that ship and name it."""


def pages(known: Mapping[str, OperatorEntry]) -> Mapping[str, str]:
    """The text of every page by its file's name, of sparqc's own operators."""
    own = [entry for entry in known.values() if entry.family]
    found = {"README.md": _index(own)}
    for family, group in groupby(own, lambda entry: entry.family):
        assert family is not None
        found[f"{family.name}.md"] = _page(family, list(group))
    return found


def _page(family: Family, entries: list[OperatorEntry]) -> str:
    return "\n\n".join([_MARK, f"# {family.doc.rstrip('.')}", *map(section, entries)]) + "\n"


def _index(entries: list[OperatorEntry]) -> str:
    rows = [
        (f"[`{e.signature}`]({_page_of(e)}{anchor(e.row.name)})", e.row.doc.partition(". ")[0])
        for e in entries
    ]
    return (
        "\n\n".join([_MARK, "# Operators", _HEAD, table(("operator", "what it gives"), rows)])
        + "\n"
    )


def _page_of(entry: OperatorEntry) -> str:
    assert entry.family is not None
    return f"{entry.family.name}.md"

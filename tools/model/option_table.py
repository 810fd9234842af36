"""Write the table of options in docs/cli.md anew, from where they are declared.

python -m sparqc.tools.model.option_table docs/cli.md

What stands between the two marks of the file is replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sparqc.base.option_fields import OptionField, option_fields
from sparqc.base.options import spell
from sparqc.job.options import Options
from sparqc.tools.model.request import debugging_options, shared_options
from sparqc.tools.terminal.text_file import write_text

BEGIN = "<!-- options: python -m sparqc.tools.model.option_table docs/cli.md -->\n"
END = "<!-- end of the options -->\n"
_HEAD = ("option", "in Python", "what it does")


def main(path: Path) -> None:
    """Replace the table in the page."""
    write_text(path, page(path.read_text(encoding="utf-8")))
    click.echo(f"wrote the options in {path}")


def page(text: str) -> str:
    """The page with its table made anew."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


def table() -> str:
    """The table as Markdown: the options of every command that reads a model, then those of
    `compile` alone."""
    rows = [_row(declared) for declared in (*shared_options(), *debugging_options())]
    return "".join(map(_line, (_HEAD, ["---"] * len(_HEAD), *rows)))


def _row(declared: OptionField) -> tuple[str, str, str]:
    is_keyword = declared.name in option_fields(Options)
    keyword = f"`{declared.name}={_python(declared.default)}`" if is_keyword else ""
    notes = []
    if declared.is_repeatable:
        notes.append("Repeat it for several.")
    if declared.debugging:
        notes.append("On the command line for `compile` alone.")
    return _spelling(declared), keyword, " ".join([declared.help, *notes])


def _spelling(declared: OptionField) -> str:
    if declared.kind is bool:
        return f"`{declared.flag}`"
    word = declared.metavar or "|".join(declared.choices) or "N"
    return f"`{declared.flag} {word}`"


def _python(value: object) -> str:
    return spell(value) if isinstance(value, str) else repr(value)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))

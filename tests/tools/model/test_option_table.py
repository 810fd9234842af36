"""The table of options in docs/cli.md is that of the options that there are."""

from __future__ import annotations

from pathlib import Path

from sparqc.tools.model.option_table import BEGIN, END, main, page, table

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_table_is_up_to_date() -> None:
    """Otherwise: python -m sparqc.tools.model.option_table docs/cli.md"""
    assert page(PAGE.read_text()) == PAGE.read_text()


def test_a_row_says_how_an_option_is_spelled_and_what_it_does() -> None:
    rows = table().splitlines()
    assert (
        "| `--knob NAME=VALUE` | `knobs=()` | Turn a knob of the target's rules: attention=int8. "
        "See `sparqc rules knobs`. Repeat it for several. |"
    ) in rows
    assert "| `--submodule NAME` |  | Compile this part of the model only. |" in rows
    assert any(row.startswith('| `--check off\\|pass\\|rule` | `check="off"` |') for row in rows)


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cli.md"
    path.write_text(f"before\n{BEGIN}| old |\n{END}behind\n")
    main(path)
    assert path.read_text() == f"before\n{BEGIN}{table()}{END}behind\n"

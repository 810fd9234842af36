"""The pages of docs/checks are those of the checks that ship, and no rule is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sparqc.tools import cli
from sparqc.tools.check.pages import check_pages, cited, guide_rules, pages

DOCS = Path(__file__).parents[3] / "docs"


def test_the_pages_are_up_to_date() -> None:
    """Otherwise: sparqc rules docs docs/checks"""
    written = {path.name: path.read_text() for path in (DOCS / "checks").glob("*.md")}
    assert written == dict(pages())


def test_every_rule_of_the_guide_is_held_or_cannot_be_seen() -> None:
    held = set().union(*(cited(page.source) for page in check_pages()))
    for rule in guide_rules():
        assert rule.name in held or rule.unseen, rule.name
    text = (DOCS / "tensorrt.md").read_text()
    numbered = {
        f"§{section[0]}.{number}"
        for section in re.split(r"^## ", text, flags=re.M)[1:]
        if section[0] in "345"
        for number in re.findall(r"^(\d+)\. ", section, flags=re.M)
    }
    assert {rule.name for rule in guide_rules()} == numbered


def test_every_cited_rule_exists() -> None:
    known = {rule.name for rule in guide_rules()} | {f"§{n}" for n in range(1, 8)}
    for page in check_pages():
        assert cited(page.source) <= known, page.id


@pytest.mark.parametrize("page", check_pages(), ids=lambda page: page.id)
def test_a_page_says_everything(page) -> None:  # type: ignore[no-untyped-def]
    text = page.markdown()
    said = page.message.split("\n")
    for part in (f"# {page.id}", page.grade, page.doc, *said, "## What to do", "## Source"):
        assert part in text
    assert text.count("```") % 2 == 0


def test_the_command_writes_them_and_takes_old_ones_away(tmp_path: Path) -> None:
    (tmp_path / "gone-check.md").write_text("a check that was")
    assert cli.run(["rules", "docs", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == set(pages())

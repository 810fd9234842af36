"""What checks found, as lines for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from sparqc.passes.check.check import Finding

#: More findings of one check than this are counted.
MOST = 3
#: The grades, the worst first, and how each is shown.
STYLES = {"error": "bold red", "slow": "yellow", "note": "dim"}


def finding_lines(findings: Sequence[Finding]) -> list[Text]:
    """Findings by grade, the worst first; those of one check share their cure."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for grade in STYLES:
        for f in (f for f in findings if f.grade == grade):
            groups.setdefault((f.grade, f.id, f.cure), []).append(f.message)
    return [_finding_line(*key, messages) for key, messages in groups.items()]


def _finding_line(grade: str, id: str, cure: str, messages: Sequence[str]) -> Text:
    shown = messages if len(messages) <= MOST else messages[:1]
    more = f", and {len(messages) - 1} more like it" if len(messages) > len(shown) else ""
    advice = f"\n  {cure}" if cure else ""
    return Text.assemble((grade, STYLES[grade]), f" {id}: {'; '.join(shown)}{more}{advice}")

"""What `sparqc check` found, as lines for a person: one entry for each check, however often it
found something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from sparqc.base.text import shortened
from sparqc.passes.check.check import Finding
from sparqc.report.findings import STYLES
from sparqc.tools.check.checked import Checked

#: How many nodes of one check are named; `--json` has them all.
MOST_NODES = 3


def checked_lines(file: str, checked: Checked) -> Iterator[Text]:
    """The whole answer."""
    yield Text(f"{file}: checked for {checked.context.target.name}")
    yield Text(
        f"layers with weights: {checked.layers}, in INT8: {checked.int8_layers}, "
        f"sparse 2:4: {checked.sparse_layers}"
    )
    for note in checked.gpu_notes:
        yield Text(f"note on the GPU: {note}")
    for group in groups(checked.findings):
        yield from _group_lines(group)
    yield Text(summary(checked.findings))


def fixed_line(cured: Mapping[str, int], output: str) -> Text:
    """What was fixed, and where the result is."""
    what = ", ".join(f"{id} ({count})" for id, count in cured.items())
    return Text(f"fixed: {what}; written to {output}" if what else "fixed: nothing")


def groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """The findings of each check together, the worst grade first."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for grade in STYLES:
        for finding in (f for f in findings if f.grade == grade):
            found.setdefault((grade, finding.id), []).append(finding)
    return list(found.values())


def summary(findings: Sequence[Finding]) -> str:
    """`2 errors, 200 slow, 1 note; --fix cures 12 of them`, or that nothing was found."""
    if not findings:
        return "nothing found"
    counts: Counter[str] = Counter(f.grade for f in findings)
    words = [_counted(counts[grade], grade) for grade in STYLES if counts[grade]]
    curable = sum(bool(f.fix) for f in findings)
    return ", ".join(words) + (f"; --fix cures {curable} of them" if curable else "")


def _counted(count: int, grade: str) -> str:
    return f"{count} {grade}{'s' if count > 1 and grade != 'slow' else ''}"


def _cost(group: Sequence[Finding]) -> str:
    """What the first costs, and all of them."""
    shares = [finding.share for finding in group if finding.share is not None]
    if len(shares) < 2:
        return group[0].cost
    return f"{group[0].cost}; all of them {100 * sum(shares):.2g} %"


def _group_lines(group: Sequence[Finding]) -> Iterator[Text]:
    first = group[0]
    count = f" ({len(group)})" if len(group) > 1 else ""
    head = Text.assemble((first.grade, STYLES[first.grade]), f" {first.id}{count}: {first.message}")
    yield head
    nodes = list(dict.fromkeys(f.titles[0] for f in group if f.nodes))
    if cost := _cost(group):
        yield Text(f"  {cost}")
    if nodes:
        yield Text(f"  at {shortened(nodes, MOST_NODES)}")
    yield from _cures(group)


def _cures(group: Sequence[Finding]) -> Iterator[Text]:
    """The cure of the first that --fix cures and that of the first that it does not, with how many
    there are of each where there are both."""
    for fixed in (True, False):
        found = [f for f in group if f.cure and bool(f.fix) == fixed]
        if found:
            which = f"{len(found)} of {len(group)}: " if len(found) < len(group) else ""
            yield Text(f"  {which}{found[0].cure}{' (--fix does it)' if fixed else ''}")

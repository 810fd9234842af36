"""What the report says about channels that were permuted so that 2:4 keeps more."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from sparqc.passes.permute import Permutations
from sparqc.rewrite.facts import Facts

#: How many groups of channels are named whose order stayed.
_NAMED = 8


def permuted_notes(facts: Facts) -> Iterator[str]:
    """A sentence on what was gained, and one for each group of channels whose order stayed."""
    found = facts.get(Permutations, Permutations())
    rows = found.groups
    changed = [row for row in rows if not row.reason]
    if changed:
        before, after = fmean(r.before for r in changed), fmean(r.after for r in changed)
        yield (
            f"channels permuted in {len(changed)} of {len(rows)} groups: there 2:4 keeps "
            f"{after:.1%} of the weights' magnitude on average, {before:.1%} before"
        )
        if found.untried:
            yield f"the new orders of channels were taken untried: {found.untried}"
    stayed = [row for row in rows if row.reason]
    for row in stayed[:_NAMED]:
        yield (
            f"channels not permuted: the {row.channels} of {row.group}, read by "
            f"{', '.join(row.layers)}: {row.reason}"
        )
    if len(stayed) > _NAMED:
        yield f"channels not permuted: {len(stayed) - _NAMED} more groups"

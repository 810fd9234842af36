"""What the report says of passes that change weights and biases so that INT8 fits better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Protocol

from sparqc.base.text import shortened
from sparqc.declared.gpus import default_gpus
from sparqc.ir.layer_names import layer_name
from sparqc.passes.correct_bias.correct_bias import BiasCorrection
from sparqc.passes.equalize.equalized import Equalization
from sparqc.passes.on_data.transaction import Judgement, Judgements
from sparqc.passes.untie.untied import Untying
from sparqc.passes.weigh.weighed import Weighed, Weighing
from sparqc.rewrite.facts import Facts


class _Row(Protocol):
    @property
    def reason(self) -> str: ...  # why nothing was changed


def adjusted_notes(facts: Facts) -> Iterator[str]:
    """Sentences on what `weigh`, `equalize`, `untie` and `correct-bias` did, and one for each
    reason for which they left something as it was, but for those of a whole pass by the judge."""
    told = {found.reason for found in facts.get(Judgements, Judgements()).passes}
    groups = facts.get(Equalization, Equalization()).groups
    if changed := [row for row in groups if not row.reason]:
        yield f"channels equalized in {len(changed)} of {len(groups)} groups"
    yield from _left("channels of {} not equalized", "group", groups, told)
    yield from map(_weighed, facts.get(Weighing, Weighing()).knobs)
    yield from _untied(facts.get(Untying, Untying()))
    layers = facts.get(BiasCorrection, BiasCorrection()).layers
    if corrected := [row for row in layers if not row.reason]:
        yield f"biases corrected in {len(corrected)} of {len(layers)} layers"
    yield from _left("biases of {} not corrected", "layer", layers, told)


def _weighed(row: Weighed) -> str:
    if not row.samples:
        return f"{row.knob} was not tried: {row.reason}"
    figures = f"{row.before_db:.1f} -> {row.after_db:.1f} dB on {row.samples} calibration samples"
    if row.share is not None:
        figures += f", predicted time {100 * row.share:+.2g} % on an {default_gpus()[0].doc}"
    if row.reason:
        return f"{row.knob} was not taken: {row.reason} ({figures})"
    return f"{row.knob} was taken: {figures}"


def _untied(found: Untying) -> Iterator[str]:
    if rows := sorted(found.branches, key=lambda row: (-row.gain_db, row.values, row.join)):
        gained = shortened(
            [f"{layer_name(r.values[0], r.module)} in {r.join}: {r.gain_db:.1f} dB" for r in rows]
        )
        cost = "its price is not predicted"
        if found.share is not None:
            cost = f"predicted to cost {100 * found.share:.2g} % of the time"
            cost += f" on an {default_gpus()[0].doc}"
        yield f"scales of their own for what Concats tie to louder branches: {gained}; {cost}"


def judged_notes(facts: Facts) -> Iterator[str]:
    """A sentence on what the judge said of each pass, and one on those that have one reason."""
    idle: dict[str, list[str]] = {}
    for found in facts.get(Judgements, Judgements()).passes:
        if found.reason:
            idle.setdefault(found.reason, []).append(found.pass_)
        elif found.trials:
            yield _verdict(found)
    for reason, names in idle.items():
        yield f"{', '.join(names)} did nothing: {reason}"


def _verdict(found: Judgement) -> str:
    tried = f"the whole of it {found.whole_db:+.1f} dB, give or take {found.error_db:.1f}"
    on = f"on {found.samples} calibration samples that it did not use"
    if not found.kept:
        return f"{found.pass_} was undone: the outputs come no nearer {on} ({tried})"
    count = len(found.kept) + len(found.undone)
    what = f"in {len(found.kept)} of {count} places" if found.undone else "everywhere"
    gained = f"{found.before_db:.1f} -> {found.after_db:.1f} dB"
    return f"{found.pass_} was kept {what}: {gained} {on}" + (f" ({tried})" if found.undone else "")


def _left(what: str, noun: str, rows: Sequence[_Row], told: Set[str]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for row in rows:
        if row.reason and row.reason not in told:
            counts[row.reason] = counts.get(row.reason, 0) + 1
    for reason, count in counts.items():
        yield f"{what.format(f'{count} {noun}' + 's' * (count > 1))}: {reason}"

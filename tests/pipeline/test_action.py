"""The choke point: counting, limits, skipping, events and numeric checks."""

import json
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.graph import Origin
from sparqc.pipeline.action import Action
from sparqc.pipeline.drift import measure
from sparqc.pipeline.events import Listener
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.trace import Recorder
from sparqc.rewrite.worklist import rewrite
from tests.match.sketches import book_of, context_of, graph_of, lines

RULES = """
rule drop:
    match:
        y = nn.identity(x)
    rewrite:
        y = x

rule scale preserves {word}:
    match:
        y = nn.relu(x)
    rewrite:
        y = nn.mul(x, {factor})
"""


def rules(word="exact", factor="1"):
    return book_of(RULES.format(word=word, factor=factor))


def graph():
    return graph_of(
        "x: f32[4]\na = nn.identity(x)\nb = nn.exp(a)\nc = nn.identity(b)\nd = nn.identity(c)\n"
        "e = nn.relu(d)\nf = nn.sqrt(e)"
    )


@dataclass(frozen=True)
class Apply(Pass):
    """Apply every rule."""

    name = "apply"
    preserves = "close"

    def run(self, graph, context):
        return rewrite(graph, context.rules.rules(graph.level), context)


@dataclass(frozen=True)
class ApplyLoosely(Apply):
    """Apply every rule, whatever it does to the numbers."""

    name = "apply"
    preserves = "lossy"


@dataclass(frozen=True)
class Raise(Pass):
    """Add 1 to the output."""

    name = "raise"
    by: float = 1.0

    def run(self, graph, context):
        (old,) = graph.outputs
        one = graph.constant(np.float32(self.by))
        node = graph.create("nn.add", {"a": old, "b": one}, types=[old.type])
        graph.set_outputs([node.output], graph.output_names)
        return 1


@dataclass(frozen=True)
class Lower(Pass):
    """Stands for an export: gives another graph."""

    name = "lower"
    gives = "onnx"

    def transform(self, graph, context):
        return graph.clone(), 1


EXAMPLE = [np.array([0.5, 1.0, 2.0, 3.0], np.float32)]


# -- counting and limits -------------------------------------------------------------------------


def test_passes_and_rule_applications_are_counted():
    context = context_of(rules())
    one, changes = context.action.pass_(Apply(), graph(), context)
    assert changes == 4
    assert context.action.counts == {"apply": 1, "drop": 3, "scale": 1}
    assert context.action.applications == 5
    assert [line.split(" = ")[1].split("(")[0] for line in lines(one)] == [
        "nn.exp", "nn.mul", "nn.sqrt"
    ]  # fmt: skip


@pytest.mark.parametrize("limit", range(7))
def test_after_the_limit_nothing_happens(limit):
    recorder = Recorder()
    context = context_of(rules(), limit=limit, listeners=[recorder])
    one, changes = context.action.pass_(Apply(), graph(), context)
    one.verify()
    assert changes == min(max(limit - 1, 0), 4)  # the pass itself is number 1
    assert [e.seq for e in recorder.rules] == list(range(2, changes + 2))
    assert context.action.exhausted == (limit <= 5)
    assert recorder.passes[0].skipped == ("limit" if limit == 0 else "")


def test_each_limit_does_what_the_one_before_it_did_and_one_thing_more():
    events = []
    for limit in range(1, 6):
        recorder = Recorder()
        context = context_of(rules(), limit=limit, listeners=[recorder])
        context.action.pass_(Apply(), graph(), context)
        events.append([(e.rule, e.before) for e in recorder.rules])
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(events))
    assert [len(e) for e in events] == [0, 1, 2, 3, 4]


def test_a_pass_that_changes_the_level_runs_beyond_the_limit():
    context = context_of(rules(), limit=0)
    old = graph()
    new, _ = context.action.pass_(Lower(), old, context)
    assert new is not old
    same, changes = context.action.pass_(Raise(), new, context)
    assert same is new and changes == 0


def test_rules_and_passes_are_skipped_by_name():
    context = context_of(rules(), skip=("drop",))
    one, changes = context.action.pass_(Apply(), graph(), context)
    assert changes == 1 and len(one) == 6
    recorder = Recorder()
    context = context_of(rules(), skip=("apply",), listeners=[recorder])
    one, changes = context.action.pass_(Apply(), graph(), context)
    assert changes == 0 and len(one) == 6
    assert [e.skipped for e in recorder.passes] == ["skip"]
    assert context.action.applications == 0


# -- events --------------------------------------------------------------------------------------


def test_events_say_what_happened_where():
    recorder = Recorder()
    context = context_of(rules(), listeners=[recorder])
    one = graph()
    one.value("e").producer.origin = Origin("features.1", "model.py:7")
    context.action.pass_(Apply(), one, context)
    first, *others, last = recorder.events
    assert (first.seq, first.pass_, first.rule, first.preserves) == (2, "apply", "scale", "exact")
    assert (first.before, first.after) == (("e",), ("e",))
    assert (first.module, first.source) == ("features.1", "model.py:7")
    assert first.span.startswith("test.spq:8:")
    assert [e.rule for e in others] == ["drop"] * 3
    assert (last.seq, last.changes, last.applications, last.nodes) == (1, 4, 4, (6, 3))
    assert last.seconds > 0 and last.cpu_seconds >= 0
    assert last.graph is None  # a Recorder does not keep graphs


def test_events_are_lines_of_json():
    recorder = Recorder()
    context = context_of(rules("lossy", "2"), listeners=[recorder], check="rule", example=EXAMPLE)
    context.action.pass_(ApplyLoosely(), graph(), context)
    entries = [json.loads(line) for line in recorder.to_jsonl().splitlines()]
    assert [e["kind"] for e in entries] == ["rule"] * 4 + ["pass"]
    assert entries[0]["pass"] == "apply" and entries[0]["rule"] == "scale"
    assert entries[0]["drift"]["exact"] is False
    assert entries[1]["drift"] == {"exact": True, "relative": 0.0, "snr_db": None, "worst": "f"}
    assert "graph" not in entries[-1]


def test_observers_get_the_graph_after_a_pass():
    seen = []

    class Look(Listener):
        def on_pass(self, event):
            seen.append((event.pass_, len(event.graph)))

    context = context_of(rules(), listeners=[Look()])
    context.action.pass_(Apply(), graph(), context)
    assert seen == [("apply", 3)]


def test_the_history_of_a_value():
    recorder = Recorder()
    context = context_of(
        book_of(
            "rule a:\n    match:\n        y = nn.exp(x)\n    rewrite:\n        y = nn.tanh(x)\n"
            "rule b:\n    match:\n        t = nn.tanh(x)\n        y = nn.relu(t)\n"
            "    rewrite:\n        y = nn.abs(x)\n"
        ),
        listeners=[recorder],
    )
    one = graph_of("x: f32[4]\np = nn.exp(x)\nq = nn.relu(p)\nr = nn.sqrt(q)\ns = nn.exp(r)")
    context.action.pass_(Apply(), one, context)
    assert [e.rule for e in recorder.history("q")] == ["a", "b"]
    assert [e.rule for e in recorder.history("s")] == ["a"]
    assert recorder.history("r") == []


# -- numbers -------------------------------------------------------------------------------------


def test_a_rule_that_keeps_its_word_passes_the_check():
    recorder = Recorder()
    context = context_of(rules(), check="rule", example=EXAMPLE, listeners=[recorder])
    context.action.pass_(Apply(), graph(), context)
    assert all(e.drift.exact for e in recorder.events)
    assert [(name, drift.exact) for name, drift in context.action.drift] == [("apply", True)]


@pytest.mark.parametrize(
    ("word", "factor", "broken"),
    [
        ("exact", "1.00001", True),
        ("close", "1.00001", False),
        ("close", "1.1", True),
        ("lossy", "1.1", False),
    ],
)
def test_a_rule_is_held_to_its_word(word, factor, broken):
    context = context_of(rules(word, factor), check="rule", example=EXAMPLE, skip=("drop",))
    one = graph()
    if not broken:
        rewrite(one, context.rules.rules(), context)
        return
    with pytest.raises(SparqcError) as error:
        rewrite(one, context.rules.rules(), context)
    assert f"the rule scale at e (application 1) promises {word} results" in str(error.value)
    assert "the output 'f' moves" in str(error.value)
    assert error.value.span.line == 8


def test_a_pass_is_held_to_its_word():
    context = context_of(rules(), check="pass", example=EXAMPLE)
    one, _ = context.action.pass_(Raise(by=0.0), graph(), context)
    with pytest.raises(
        SparqcError, match="the pass raise promises exact results, but the output 'f'"
    ):
        context.action.pass_(Raise(), one, context)
    assert [drift.exact for _, drift in context.action.drift] == [True, False]


def test_with_pass_checks_rules_are_not_run():
    context = context_of(rules("exact", "1.00001"), check="pass", example=EXAMPLE)
    context.action.pass_(Apply(), graph(), context)  # the pass promises "close" only
    assert 60 < context.action.drift[0][1].snr_db < math.inf


def test_a_check_needs_example_inputs():
    context = context_of(rules(), check="pass")
    with pytest.raises(UsageError, match="needs example inputs"):
        context.action.pass_(Apply(), graph(), context)


def test_an_unknown_check_is_refused():
    with pytest.raises(UsageError, match="did you mean 'rule'"):
        Action(check="rules")


@pytest.mark.parametrize(
    ("before", "after", "exact", "relative"),
    [
        ([1.0, 2.0], [1.0, 2.0], True, 0.0),
        ([0.0], [-0.0], True, 0.0),
        ([math.nan, 1.0], [math.nan, 1.0], True, 0.0),
        ([math.nan, 1.0], [1.0, 1.0], False, math.inf),
        ([math.inf, 1.0], [math.inf, 1.0], True, 0.0),
        ([math.inf, 1.0], [math.inf, 1.5], False, 0.5),
        ([2.0, -4.0], [2.0, -4.4], False, 0.1),
        ([0.0], [1.0], False, math.inf),
        ([], [], True, 0.0),
    ],
)
def test_drift_is_relative_to_the_largest_magnitude(before, after, exact, relative):
    drift = measure([np.array(before)], [np.array(after)], ["y"])
    assert drift.exact is exact
    assert drift.relative == pytest.approx(relative)
    assert drift.keeps("lossy") and drift.keeps("exact") == exact


def test_drift_is_also_a_signal_to_noise_ratio():
    drift = measure([np.array([3.0, 4.0])], [np.array([3.0, 4.5])], ["y"])
    assert drift.snr_db == pytest.approx(10 * math.log10(25 / 0.25))
    assert str(drift) == "0.12 of the largest magnitude, SNR 20.0 dB"


def test_the_output_that_moves_most_is_named():
    before = [np.ones(3), np.ones(3)]
    drift = measure(before, [np.ones(3), np.ones(3) * 1.1], ["first", "second"])
    assert drift.worst == "second"
    assert measure(before, [np.ones(3)], ["first"]).keeps("close") is False


def test_integers_are_compared_exactly():
    before, after = np.array([1, 2**53]), np.array([1, 2**53 + 1])
    assert not measure([before], [after], ["y"]).exact
    assert not measure([before], [before.astype(np.int32)], ["y"]).exact

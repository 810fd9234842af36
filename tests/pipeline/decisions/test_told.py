"""Decisions as events: what a pass changed, what its facts say, and how they are counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sparqc.ir.graph import Graph
from sparqc.pipeline.action import Action
from sparqc.pipeline.events import DecisionEvent
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.trace import Recorder
from sparqc.rewrite.context import Context
from tests.match.sketches import book_of, context_of, graph_of

TEXT = """
x: f32[4]
w: const f32[4] = [1, 2, 3, 4]
v: const f32[4] = [5, 6, 7, 8]
a = nn.mul(x, w)
b = nn.mul(a, v)
"""


@dataclass(frozen=True)
class Doubled:
    """A row of the fact below."""

    weight: str
    factor: float
    reason: str = ""
    by: str = ""


@dataclass(frozen=True)
class Doubling:
    """What the pass leaves; it knows nothing of events."""

    rows: tuple[Doubled, ...]
    note: str = "this is no row"


@dataclass(frozen=True)
class Double(Pass):
    """Double the constants, each by itself."""

    name = "double"
    preserves = "lossy"
    separable: bool = True

    def is_separable(self) -> bool:
        return self.separable

    def run(self, graph: Graph, context: Context) -> int:
        for value in graph.constants:
            value.data = 2 * value.data
        context.facts.put(
            Doubling((Doubled("w", 2.0), Doubled("v", 2.0), Doubled("u", 1.0, "it is not there")))
        )
        return 2


class Watching(Recorder):
    """Listens to decisions too."""

    decisions = True


def run(
    *, separable: bool = True, limit: int | None = None, recorder: Recorder | None = None
) -> tuple[Graph, Recorder, Action]:
    recorder = recorder or Watching()
    action = Action(listeners=[recorder], limit=limit)
    graph = graph_of(TEXT)
    context = context_of(book_of(""))
    context.action = action
    action.pass_(Double(separable), graph, context)
    return graph, recorder, action


def test_each_change_is_an_event_with_numbers_and_what_a_fact_says() -> None:
    _, recorder, _ = run()
    w, v, u = recorder.made
    assert (w.seq, v.seq, u.seq) == (2, 3, 1)
    assert (w.what, w.name, w.before, w.after) == ("set", "w", ("w",), ("w",))
    assert w.constants["w"]["before"]["largest"] == 4
    assert w.constants["w"]["after"]["largest"] == 8
    assert w.constants["w"]["snr_db"] == pytest.approx(0.0)
    assert w.said == ({"fact": "Doubling", "weight": "w", "factor": 2.0},)
    assert (u.what, u.name, u.reason) == ("keep", "u", "it is not there")


def test_a_fact_that_is_put_once_more_tells_what_is_new_in_it() -> None:
    """As `untie` does with the ranges of `calibrate`, of which it changes a few."""
    recorder = Watching()
    action = Action(listeners=[recorder])
    graph, context = graph_of(TEXT), context_of(book_of(""))
    context.action = action
    context.facts.put(Doubling((Doubled("w", 1.0), Doubled("u", 1.0, "it is not there"))))
    action.pass_(Double(), graph, context)
    assert [event.name for event in recorder.made] == ["w", "v"]
    assert [event.said[0]["factor"] for event in recorder.made] == [2.0, 2.0]


def test_decisions_stand_in_front_of_their_pass() -> None:
    _, recorder, _ = run()
    assert [event.kind for event in recorder.events] == ["decision"] * 3 + ["pass"]


def test_who_does_not_listen_is_told_of_none_and_nothing_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sparqc.pipeline.decisions import counting

    def refuse(*_: object) -> None:
        raise AssertionError("nobody listens")

    monkeypatch.setattr(counting.Outline, "of", refuse)
    _, recorder, action = run(recorder=Recorder())
    assert recorder.made == [] and action.applications == 1


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, (1, 5)), (1, (1, 5)), (2, (2, 5)), (3, (2, 10)), (9, (2, 10))]
)
def test_a_limit_counts_decisions(limit: int, expected: tuple[int, int]) -> None:
    graph, _, action = run(limit=limit)
    first = tuple(int(graph.value(n).data[0]) for n in ("w", "v"))
    assert first == expected
    assert action.applications == min(limit, 3)


def test_a_pass_whose_decisions_hang_together_counts_as_one() -> None:
    graph, recorder, action = run(separable=False, limit=1)
    assert int(graph.value("v").data[0]) == 10
    assert action.applications == 1
    assert {event.seq for event in recorder.made} == {1}


def test_an_event_is_plain_data() -> None:
    _, recorder, _ = run()
    said = recorder.made[0].to_json()
    assert said["kind"] == "decision" and said["pass"] == "double"
    assert said["said"][0]["weight"] == "w"
    assert isinstance(recorder.made[0], DecisionEvent)


def test_a_scale_without_a_number_is_no_number_in_the_event() -> None:
    from sparqc.pipeline.decisions.numbers import compared

    nan, one = np.array(np.nan, np.float32), np.array(1.0, np.float32)
    assert compared(nan, one)["before"] == {"dtype": "f32", "shape": [], "value": None}
    assert "snr_db" not in compared(nan, one)


def test_a_fact_on_a_layer_speaks_of_the_weight_behind_its_quantizer() -> None:
    @dataclass(frozen=True)
    class Scaled:
        layers: tuple[str, ...]
        gain_db: float

    @dataclass(frozen=True)
    class Scaling:
        rows: tuple[Scaled, ...]

    @dataclass(frozen=True)
    class Scale(Pass):
        name = "scale"
        preserves = "lossy"

        def run(self, graph: Graph, context: Context) -> int:
            graph.value("w").data = np.zeros((4, 4), np.float32)
            context.facts.put(Scaling((Scaled(("y",), 3.0),)))
            return 1

    graph = graph_of(
        "x: f32[1, 4]\nw: const f32[4, 4]\nt: const f32[4]\n"
        "v = q.qdq(w, t, none, axis=0)\ny = nn.linear(x, v, none)"
    )
    recorder = Watching()
    context = context_of(book_of(""))
    context.action = action = Action(listeners=[recorder])
    action.pass_(Scale(), graph, context)
    (event,) = recorder.made
    assert event.name == "w" and event.said[0]["gain_db"] == 3.0


@dataclass(frozen=True)
class Rename(Pass):
    """Give Muls another operator, and ask in front of each."""

    name = "rename"
    preserves = "lossy"

    def run(self, graph: Graph, context: Context) -> int:
        muls = [node for node in graph.nodes if node.op == "nn.mul"]
        allowed = [n for n in muls if context.action.decides(n.output.name, "elsewhere")]
        for node in allowed:
            made = graph.create("nn.add", dict(node.operands), {}, types=[node.output.type])
            graph.replace(node.output, made.output)
        graph.drop_dead()
        return len(allowed)


@pytest.mark.parametrize("limit", [None, 0, 1, 2, 3, 4])
def test_a_pass_that_asks_is_told_how_far_it_may_go(limit: int | None) -> None:
    recorder, graph, context = Watching(), graph_of(TEXT), context_of(book_of(""))
    context.action = action = Action(listeners=[recorder], limit=limit)
    action.pass_(Rename(), graph, context)
    allowed = 2 if limit is None else min(2, max(0, limit - 1))
    assert [node.op for node in graph.nodes].count("nn.add") == allowed
    numbers = [event.seq for event in recorder.events if event.kind == "decision"]
    assert sorted(numbers) == [2, 3][:allowed]
    assert action.applications == min(3, 3 if limit is None else limit)


def test_what_changes_a_type_alone_is_an_event_too() -> None:
    class Nothing(Rename):
        name = "nothing"

        def run(self, graph: Graph, context: Context) -> int:
            return int(context.action.decides("a"))

    recorder, context = Watching(), context_of(book_of(""))
    context.action = Action(listeners=[recorder])
    context.action.pass_(Nothing(), graph_of(TEXT), context)
    (event,) = recorder.made
    assert (event.seq, event.what, event.name, event.after) == (2, "alter", "a", ("a",))

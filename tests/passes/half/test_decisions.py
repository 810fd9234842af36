"""What `half` says of its decisions in the events of a run."""

from dataclasses import replace

from sparqc.pipeline.action import Action
from sparqc.pipeline.trace import Recorder
from tests.passes.half.test_half import context_for, half


def test_what_a_precision_keeps_names_its_line():
    listener = Recorder()
    listener.decisions = True
    context = replace(context_for(), action=Action(listeners=[listener]))
    _, facts = half(
        "x: f32[2, 8]\ns = nn.mul(x, x)\nm = nn.reduce_mean(s, axes=[1])\ny = nn.relu(m)", context
    )
    assert {kept.value: kept.by for kept in facts.kept}["m"] == "mean_of_squares"
    (event,) = [e for e in listener.events if e.kind == "decision" and e.name == "m"]
    (line,) = event.by
    assert line.startswith("patterns/tensorrt/precision.spq:") and line.endswith(" mean_of_squares")
    assert event.reason == "a mean of squares overflows from 256 on"

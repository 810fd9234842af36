"""Knobs that trade accuracy for speed are turned by what both are on the network at hand."""

import pytest
import torch

import sparqc
from sparqc.ir.text.print import print_graph
from sparqc.passes.weigh import weigh
from sparqc.passes.weigh.weigh import Weigh
from sparqc.passes.weigh.weighed import Weighed, Weighing
from sparqc.report.notes.adjusted import adjusted_notes
from sparqc.rewrite.context import Context
from sparqc.tools.check.checked import check_proto
from tests.passes.weigh.networks import Narrow, Transformer, images

ROADS = pytest.mark.parametrize("road", ["fx", "onnx"])
CHANNELS = "depthwise_channels=1, least_channels=1"


def compiled(
    net: torch.nn.Module, options: str, road: str = "fx", **wishes: object
) -> sparqc.Compiled:
    passes = f"int8,+weigh{{{options}}}@before=attention" if options else "int8"
    data = wishes.pop("calibration", images(2))
    example = images(1, 2)[0]
    if road == "fx":
        return sparqc.compile(net.eval(), example, calibration=data, passes=passes, **wishes)  # type: ignore[arg-type]
    model = sparqc.compile(net.eval(), example, passes="float").model
    return sparqc.compile(model, calibration=data, passes=passes, **wishes)  # type: ignore[arg-type]


def rows(done: sparqc.Compiled) -> dict[str, Weighed]:
    return {row.knob: row for row in done.context.facts[Weighing].knobs}


@ROADS
def test_a_layer_that_is_faster_in_int8_goes_there_for_a_stated_loss(road: str) -> None:
    found = rows(compiled(Narrow(), f'set="{CHANNELS}"', road))
    assert [row.reason for row in found.values()] == ["it may lose more than 0 dB"] * 2
    for row in found.values():
        assert row.share < 0
        assert row.after_db < row.before_db - 0.5
    done = compiled(Narrow(), f'set="{CHANNELS}", loss=6', road)
    assert [row.reason for row in rows(done).values()] == ["", ""]
    assert done.context.rules.knobs["least_channels"] == 1
    assert [f.id for f in check_proto(done.model).findings if f.grade != "note"] == []


@ROADS
def test_what_is_refused_leaves_the_graph_as_it_was(road: str) -> None:
    done = compiled(Narrow(), f'set="{CHANNELS}"', road)
    assert done.context.rules.knobs["depthwise_channels"] == 32
    assert print_graph(done.graph) == print_graph(compiled(Narrow(), "", road).graph)


@pytest.mark.parametrize("road", ["fx", "onnx"])
def test_attention_that_saves_no_time_stays_in_float(road: str) -> None:
    done = compiled(Transformer(), 'set="attention=int8", loss=20', road)
    row = rows(done)["attention=int8"]
    assert row.reason == "it is predicted to save no time"
    assert row.share > 0
    assert done.context.rules.knobs["attention"] == "float"


@ROADS
def test_attention_goes_to_int8_where_that_saves_time(
    road: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(graph: object, context: Context) -> float:
        return 1.0 if context.rules.knobs["attention"] == "float" else 0.6

    monkeypatch.setattr(weigh, "predicted_seconds", seconds)
    row = rows(compiled(Transformer(), 'set="attention=int8"', road))["attention=int8"]
    assert row.reason == "it may lose more than 0 dB"
    done = compiled(Transformer(), 'set="attention=int8", loss=6', road)
    row = rows(done)["attention=int8"]
    assert row.reason == ""
    assert row.share == pytest.approx(-0.4)
    assert row.after_db < row.before_db
    assert any(p.value == "attention=int8" for p in done.model.metadata_props)
    assert check_proto(done.model).findings == ()
    (line,) = [n for n in adjusted_notes(done.context.facts) if n.startswith("attention=int8")]
    assert "was taken" in line
    assert "predicted time -40 %" in line


def test_the_word_of_a_person_stands() -> None:
    done = compiled(Narrow(), f'set="{CHANNELS}", loss=6', knobs=("least_channels=16",))
    assert set(rows(done)) == {"depthwise_channels=1"}
    assert done.context.rules.knobs["least_channels"] == 16


@ROADS
def test_few_samples_weigh_nothing(road: str) -> None:
    done = compiled(Narrow(), f'set="{CHANNELS}", loss=6', road, calibration=images(1, 4))
    for row in rows(done).values():
        assert "samples are held back" in row.reason
    assert done.context.rules.knobs["least_channels"] == 16
    assert any("was not tried" in note for note in adjusted_notes(done.context.facts))


def test_a_network_that_no_knob_changes_is_not_tried() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.Conv2d(32, 32, 3))
    assert rows(compiled(net, "loss=1")) == {}


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="loss"):
        Weigh(loss=-1)

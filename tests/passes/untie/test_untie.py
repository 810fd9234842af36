"""A quiet branch of a Concat keeps its resolution for its other readers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.ir.text.print import print_graph
from sparqc.passes.calibrate.calibrate import CalibratedRanges
from sparqc.passes.on_data.transaction import Judgements
from sparqc.passes.untie.untie import Untie
from sparqc.passes.untie.untied import Untying
from sparqc.report.notes.adjusted import adjusted_notes
from sparqc.tools.check.checked import check_proto
from sparqc.tools.engine.rtx import compile_rtx
from tests.passes.untie.networks import Shared, Two, compiled, decibels, images, outputs

ROADS = pytest.mark.parametrize("road", ["fx", "onnx"])


@ROADS
@pytest.mark.parametrize(("ratio", "at_most"), [(8, 25), (30, 14), (400, 4)])
def test_the_quiet_branch_is_as_good_as_alone(road: str, ratio: float, at_most: float) -> None:
    net = Two(ratio)
    tied, untied = (compiled(net, passes, road) for passes in ("int8,-untie", "int8"))
    before, after = decibels(net, tied.model), decibels(net, untied.model)
    assert before[0] < at_most
    assert after[0] > 33
    (row,) = untied.context.facts[Untying].branches
    assert row.values[0] in untied.graph
    assert row.gain_db > after[0] - before[0] - 6


def test_what_the_concat_gives_stays_as_it_was_to_the_bit() -> None:
    net, (x,) = Two(30), images(1)[0]
    tied, untied = (outputs(compiled(net, p).model, x) for p in ("int8,-untie", "int8"))
    assert not np.array_equal(tied[0], untied[0])
    np.testing.assert_array_equal(tied[1], untied[1])


@ROADS
def test_branches_of_like_ranges_keep_one_scale(road: str) -> None:
    tied, plain = (compiled(Two(2), passes, road) for passes in ("int8", "int8,-untie"))
    assert not tied.context.facts[Untying].branches
    assert print_graph(tied.graph) == print_graph(plain.graph)


@ROADS
def test_what_two_concats_read_ties_them_no_longer(road: str) -> None:
    net = Shared(50)
    tied, untied = (compiled(net, passes, road) for passes in ("int8,-untie", "int8"))
    before, after = decibels(net, tied.model), decibels(net, untied.model)
    assert before[0] < 15
    assert after[0] > 30
    assert after[1] == pytest.approx(before[1], abs=0.01)


@ROADS
def test_a_dead_branch_keeps_the_scale_of_the_concat(road: str) -> None:
    net = Two(1)
    net.quiet.weight.data.zero_()
    net.quiet.bias.data.zero_()
    found = compiled(net, "int8", road).context.facts
    ranges = [r for r in found[CalibratedRanges].ranges if not r.channels]
    dead = next(r for r in ranges if r.largest == 0)
    assert dead.scale in {r.scale for r in ranges if r.largest}


def test_ranges_say_what_a_scale_of_its_own_gives() -> None:
    ranges = compiled(Two(30), "int8").context.facts[CalibratedRanges].ranges
    rows = {r.value: r for r in ranges if not r.channels}
    assert rows["relu_1"].snr_db > 30
    assert rows["relu_1"].scale != rows["concat"].scale
    assert rows["relu_1"].amax < rows["concat"].amax / 20


@ROADS
def test_the_report_names_the_branch_its_gain_and_its_price(road: str) -> None:
    found = compiled(Two(30), "int8", road).context.facts
    (line,) = [n for n in adjusted_notes(found) if n.startswith("scales of their own")]
    assert "in concat" in line
    assert "dB; predicted to cost" in line
    assert found[Untying].share > 0


# -- the file ---------------------------------------------------------------------------------


@ROADS
@pytest.mark.parametrize("target", ["tensorrt-11", "tensorrt-8.6", "tensorrt-rtx"])
def test_the_file_is_its_own_plan(road: str, target: str) -> None:
    model = compiled(Two(30), "int8", road, target=target).model
    assert [f.id for f in check_proto(model).findings] == []


def test_a_file_without_the_record_is_told_what_its_scales_cost() -> None:
    model = compiled(Two(30), "int8").model
    for prop in [p for p in model.metadata_props if p.key == "sparqc.untied"]:
        model.metadata_props.remove(prop)
    assert "concat-scales-differ" in [f.id for f in check_proto(model).findings]


def test_a_file_that_is_compiled_again_keeps_its_scales() -> None:
    import sparqc

    net = Two(30)
    first = compiled(net, "int8").model
    again = sparqc.compile(first, calibration=images(2), passes="int8")
    assert decibels(net, again.model)[0] == pytest.approx(decibels(net, first)[0], abs=0.5)
    assert [f.id for f in check_proto(again.model).findings] == []


@pytest.mark.parametrize("net", [Two(30), Shared(50)], ids=["two", "shared"])
def test_tensorrt_rtx_reads_it_in_int8_and_moves_no_more(net: Two) -> None:
    tied, untied = (
        compile_rtx(compiled(net, passes, target="tensorrt-rtx").model)
        for passes in ("int8,-untie", "int8")
    )
    assert untied.accepted, untied.errors
    assert untied.float_nodes == tied.float_nodes == []
    assert len(untied.kernels) == len(tied.kernels)
    assert untied.bytes_read + untied.bytes_written <= tied.bytes_read + tied.bytes_written


# -- by the judge -----------------------------------------------------------------------------


JUDGED = "int8,+untie{judged=true, price=1000}@instead=untie"


@ROADS
def test_what_loses_less_is_untied_where_the_outputs_come_nearer(road: str) -> None:
    net = Two(3)
    plain, judged = (compiled(net, passes, road) for passes in ("int8", JUDGED))
    assert not plain.context.facts[Untying].branches
    (verdict,) = judged.context.facts[Judgements].passes
    assert verdict.after_db > verdict.before_db
    assert len(judged.context.facts[Untying].branches) == len(verdict.kept) == 1
    assert decibels(net, judged.model)[0] > decibels(net, plain.model)[0] + 3


def test_a_gain_that_costs_too_much_is_refused() -> None:
    dear = compiled(Two(3), JUDGED.replace("1000", "0.1"))
    (verdict,) = dear.context.facts[Judgements].passes
    assert verdict.whole_db > 0
    assert verdict.kept == ()
    assert print_graph(dear.graph) == print_graph(compiled(Two(3), "int8").graph)


@ROADS
def test_few_samples_judge_nothing(road: str) -> None:
    net, few = Two(3), images(1, 4)
    import sparqc

    model = net if road == "fx" else sparqc.compile(net, few[0], passes="float").model
    given = (few[0],) if road == "fx" else ()
    done = sparqc.compile(model, *given, calibration=few, passes=JUDGED)
    (verdict,) = done.context.facts[Judgements].passes
    assert verdict.reason
    assert not done.context.facts[Untying].branches


@settings(max_examples=6, deadline=None)
@given(st.floats(1, 20), st.integers(0, 99), st.sampled_from(["fx", "onnx"]))
def test_the_judge_is_never_below_the_rule(ratio: float, seed: int, road: str) -> None:
    net = Two(ratio, seed)
    judged = compiled(net, JUDGED, road)
    for verdict in judged.context.facts.get(Judgements, Judgements()).passes:
        assert verdict.after_db >= verdict.before_db
    plain = decibels(net, compiled(net, "int8", road).model)
    assert min(np.subtract(decibels(net, judged.model), plain)) > -0.1


@pytest.mark.parametrize("options", [{"loss": -1.0}, {"price": 0.0}, {"loss": float("nan")}])
def test_options_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Untie(**options)

"""The report as text: what stands in it, and that it fits the width."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sparqc.job.verify import Difference
from sparqc.passes.calibrate.calibrate import CalibratedRanges, Range
from sparqc.passes.check.check import Finding
from sparqc.report.content import PassRow, Sizes
from sparqc.report.layers import LayerRow, OtherRow, ResidualAdds
from sparqc.report.metric import Metric
from sparqc.report.quality import Quality
from sparqc.report.ranges import quantizer_rows, range_line, range_notes
from sparqc.report.report import Report
from sparqc.report.tables import shortened
from sparqc.report.text import render, size_text
from sparqc.rewrite.facts import Facts


def layer(number: int, *, float_reason: str = "", dense_reason: str = "") -> LayerRow:
    return LayerRow(
        name=f"stages.{number}.conv",
        value=f"conv_{number}",
        op="nn.conv",
        weight=f"stages.{number}.conv.weight",
        shape=(64, 64, 3, 3),
        int8=not float_reason,
        float_reason=float_reason,
        sparse=not dense_reason,
        dense_reason=dense_reason,
        module=f"stages.{number}.conv",
    )


REPORT = Report(
    model="model.py",
    target="tensorrt-11",
    compiler="TensorRT 11",
    pipeline="fold, place",
    skipped=(),
    layers=(
        layer(0, dense_reason="2:4 kernels want C % 16 == 0 and K % 8 == 0: weight [64, 3, 7, 7]"),
        layer(1),
        layer(2, float_reason="excluded by --exclude stages.2.*"),
    ),
    others=(OtherRow("max_pool", "nn.max_pool", True, ""),),
    adds=ResidualAdds(one=2),
    passes=(PassRow("fold", 3, 0.12, 0.11),),
    difference=Difference(30.0, 0.5, 0.02),
    metrics=(Metric("top-1", 91.8, 91.25),),
    findings=(),
    opaque={},
    notes=(),
    sizes=Sizes(85_123, 312_000),
    files=(Path("model.onnx"),),
    build_line="trtexec " + "--option=value " * 20,
    phases={"reading": 1.0, "compiling": 2.0},
    cpu_seconds=4.0,
    quality=Quality("good", 31),
    version="0.1.0",
)


def text(report: Report, *, width: int = 100, verbose: bool = False) -> str:
    stream = io.StringIO()
    render(report, Console(file=stream, width=width, highlight=False), verbose=verbose)
    return stream.getvalue()


def test_the_whole_page() -> None:
    assert text(replace(REPORT, build_line="trtexec --onnx=model.onnx")) == PAGE


PAGE = """\
model     model.py
target    tensorrt-11  (sparqc 0.1.0)
passes    fold, place

layers    3 with weights: 2 in INT8, 2 sparse 2:4
  layer                   operator  weight     INT8                       2:4
  conv_0 (stages.0.conv)  conv      64x64x3x3  INT8                       dense: 2:4 kernels want C
                                                                          % 16 == 0 and K % 8 == 0:
                                                                          weight [64, 3, 7, 7]
  conv_1 (stages.1.conv)  conv      64x64x3x3  INT8                       2:4
  conv_2 (stages.2.conv)  conv      64x64x3x3  float: excluded by         2:4
                                               --exclude stages.2.*
          without weights: 1 max_pool INT8
adds      2 read one input as INT8

accuracy  top-1: 91.80 -> 91.25 (-0.55)
outputs   30.0 dB signal-to-noise against the original on the example inputs: good; the largest
          difference is 0.5, 2 % of the largest value
verified  31 operators that passes changed give on a sample what they gave before
checks    nothing found

  pass  changes  seconds  CPU s
  fold        3     0.12   0.11
time      3.0 s (reading 1.0 s, compiling 2.0 s); CPU 4.0 s, imports included

written   model.onnx
size      85.1 kB; the parameters in FP32: 312.0 kB (27 %)
build     trtexec --onnx=model.onnx
"""


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_only_the_line_to_copy_is_wider_than_the_page(width: int) -> None:
    *lines, last = text(REPORT, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert last == f"build     {REPORT.build_line}".rstrip()


def test_layers_that_all_fared_alike_need_no_column() -> None:
    rows = tuple(layer(i, dense_reason="nothing was pruned") for i in range(3))
    shown = text(replace(REPORT, layers=rows))
    assert "3 with weights: 3 in INT8, 0 sparse 2:4 (nothing was pruned)" in shown
    assert "dense" not in shown


def test_long_models_are_shown_in_groups() -> None:
    rows = tuple(layer(i) for i in range(300))
    odd = layer(300, float_reason="grouped")
    shown = text(replace(REPORT, layers=(*rows, odd)))
    assert (
        "300  conv      INT8            2:4  conv_0 (stages.0.conv), conv_1 (stages.1.conv),"
        in shown
    )
    assert "and 297 more" in " ".join(shown.split())
    assert "1  conv      float: grouped  2:4  conv_300 (stages.300.conv)" in shown
    assert len(shown.splitlines()) < 30


def test_every_layer_is_shown_on_request() -> None:
    shown = text(replace(REPORT, layers=tuple(map(layer, range(300)))), verbose=True)
    assert all(f"conv_{i} (stages.{i}.conv) " in shown for i in range(300))


def test_findings_stand_with_the_worst_first_and_together() -> None:
    slow = [Finding("slow-thing", "slow", (f"c{i}",), f"c{i} is slow", "mend it") for i in range(5)]
    error = Finding("bad-scale", "error", ("q",), "q.scale is 0")
    shown = text(replace(REPORT, findings=(*slow, error)))
    assert shown.index("error bad-scale: q.scale is 0") < shown.index("slow slow-thing")
    assert "slow slow-thing: c0 is slow, and 4 more like it\n            mend it" in shown


def test_checks_that_did_not_run_found_nothing_because_of_that() -> None:
    shown = text(replace(REPORT, findings=None))
    assert "nothing found" not in shown and "checks    not run" in shown


def test_opaque_operators_and_notes_are_listed() -> None:
    shown = text(replace(REPORT, opaque={"onnx.NonZero": 2}, notes=("calibrated on noise",)))
    assert "opaque    onnx.NonZero (2): not in the operator table" in shown
    assert "note      calibrated on noise" in shown


def test_what_torch_exported_alone_is_told_apart() -> None:
    opaque = {"aten.im2col.default": 1, "onnx.NonZero": 2}
    shown = " ".join(text(replace(REPORT, opaque=opaque)).split())
    assert "opaque onnx.NonZero (2): not in the operator table" in shown
    assert "aten.im2col.default (1): no form in the operator table, each exported by" in shown


def test_drift_has_a_column_where_it_was_measured() -> None:
    passes = (
        PassRow("fold", 3, 0.1, 0.1, 120.53),
        PassRow("cleanup", 0, 0.1, 0.1, float("inf")),
        PassRow("prune", 0, 0.0, 0.0, None, "skip"),
    )
    rows = [line.split() for line in text(replace(REPORT, passes=passes)).splitlines()]
    assert ["fold", "3", "0.10", "0.10", "120.5"] in rows
    assert ["cleanup", "0", "0.10", "0.10", "equal"] in rows
    assert ["prune", "skipped", "(skip)", "0.00", "0.00", "-"] in rows


def test_a_model_without_weights_or_inputs_has_a_report_too() -> None:
    shown = text(replace(REPORT, layers=(), difference=None, metrics=()))
    assert "0 with weights" in shown
    assert "not compared: there are no example inputs" in shown


def test_json_is_plain_data() -> None:
    data = replace(REPORT, difference=Difference(float("inf"), 0.0, 0.0)).to_json()
    assert data["difference"]["snr_db"] is None
    assert data["int8_layers"] == 2
    assert data["layers"][2]["float_reason"] == "excluded by --exclude stages.2.*"


def test_names_and_sizes_are_short() -> None:
    assert shortened(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert [size_text(n) for n in (85_123, 102_300_000)] == ["85.1 kB", "102.3 MB"]


def test_ranges_worth_a_note() -> None:
    def found(value: str, largest: float, **more: object) -> Range:
        fields = {"module": "", "scale": "s", "method": "mse", "amax": largest, "step": 0.1, **more}
        return Range(value=value, largest=largest, **fields)  # type: ignore[arg-type]

    ranges = [
        found("a", 1.0),
        found("b", 9.0),
        found("w", 1.0, scale="t", method="weight", channels=16, dead=(3, 7)),
        found("z", 0.0, scale="u", dead=(0,)),
    ]
    assert list(range_notes(Facts(CalibratedRanges(tuple(ranges))))) == [
        "w: 2 channels are zero throughout (3, 7); the scale is a stand-in",
        "z is zero throughout the calibration data; its scale is a stand-in",
        "a, up to 1, and b, up to 9, share one scale, which is coarse for the former",
    ]


def test_quantizers_that_look_bad_are_named_worst_first() -> None:
    def found(value: str, snr: float | None, outliers: float = 1.0, clipped: float = 0.0) -> Range:
        return Range(value, "m", "s", "mse", 2.0, 1.5, 0.1, clipped, snr_db=snr, outliers=outliers)

    ranges = (
        found("good", 38.0),
        found("exact", float("inf")),
        found("coarse", 20.0),
        found("worse", 12.5, outliers=40.0),
        found("cut", 30.0, clipped=0.02),
    )
    facts = Facts(CalibratedRanges(ranges))
    assert list(range_notes(facts)) == [
        "quantizers below 25 dB: worse (m): 12.5 dB, coarse (m): 20.0 dB",
        "quantizers with outliers of more than 4 times the usual range: worse (m): 12.5 dB",
        "quantizers that clip more than 1 % of their values: cut (m): 30.0 dB",
    ]
    rows = quantizer_rows(facts)
    assert range_line(rows) == (
        "5 measured: signal-to-noise ratio 30.0 dB in the median, the least 12.5 dB, of worse (m)"
    )
    assert rows[1].to_json()["snr_db"] is None  # JSON has no infinity
    assert rows[3].to_json()["concerns"] == [
        "below 25 dB",
        "with outliers of more than 4 times the usual range",
    ]
    shown = text(replace(REPORT, quantizers=rows), verbose=True)
    assert "ranges    5 measured: signal-to-noise ratio 30.0 dB in the median" in shown
    table = [line.split() for line in shown.splitlines()]
    assert ["worse", "(m)", "mse", "1.5", "2", "none", "12.5", "40.0"] in table

"""TensorRT-RTX as the judge: what it refuses is an error, and no cure costs INT8 or traffic."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from sparqc.tools.check.checked import check_file
from sparqc.tools.check.fix import fix
from sparqc.tools.engine.report import EngineReport
from sparqc.tools.engine.rtx import compile_rtx
from tests.faulty_networks import EXACT, ROUNDED, model_of

REFUSED = {"quantized-bias", "uint8-activation", "uint8-weight"}


def traffic(report: EngineReport) -> int:
    assert report.accepted
    return report.bytes_read + report.bytes_written


@pytest.mark.parametrize("id", [*EXACT, *ROUNDED])
def test_a_cure_is_never_worse(tmp_path: Path, id: str) -> None:
    path = model_of(tmp_path / "m.onnx", id)
    before = compile_rtx(onnx.load(path), batch=4)
    after = compile_rtx(fix(check_file(path)).checked.model, batch=4)
    assert before.accepted == (id not in REFUSED)
    assert after.accepted and len(after.int8_nodes) >= len(before.int8_nodes)
    if before.accepted:
        assert traffic(after) <= traffic(before)


@pytest.mark.parametrize("id", sorted(REFUSED))
def test_what_is_refused_is_an_error(tmp_path: Path, id: str) -> None:
    findings = check_file(model_of(tmp_path / "m.onnx", id)).findings
    assert "error" in {f.grade for f in findings if f.id == id}


def test_weight_scales_along_another_axis_run_in_float(tmp_path: Path) -> None:
    """The square weight of `missing-axis`: ONNX's default is not the axis of its outputs."""
    path = model_of(tmp_path / "m.onnx", "missing-axis")
    assert "weight-axis" in {f.id for f in check_file(path).findings}
    assert not compile_rtx(onnx.load(path), batch=4).int8_nodes

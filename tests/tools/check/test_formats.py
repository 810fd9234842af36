"""What `sparqc check` prints for other programs: SARIF and JUnit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import helper
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Schema

from sparqc.ir.graph import Origin
from sparqc.ir.onnx.metadata.provenance import METADATA_IR, add_origin
from sparqc.tools import cli
from tests import small_models

Print = Callable[..., str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Print:
    """`printed(path, "--format", "sarif", code=1)`: what stands on stdout."""

    def printed(path: Path, *words: str, code: int = 0) -> str:
        assert cli.run(["check", str(path), *words]) == code
        return capsys.readouterr().out

    return printed


def bare_weight(path: Path, origin: Origin | None = None, name: str = "conv") -> Path:
    """A convolution whose data is INT8 and whose weight is not, from a line of a model."""
    constants = {
        "s": np.array(0.1, np.float32),
        "z": np.array(0, np.int8),
        "w": np.ones((16, 16, 1, 1), np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "d"),
        helper.make_node("Conv", ["d", "w"], ["y"], name),
    ]
    small_models.save(path, nodes, constants)
    if origin is not None:
        model = onnx.load(path)
        model.ir_version = METADATA_IR
        add_origin(model.graph.node[-1], origin)
        onnx.save(model, path)
    return path


def run_of(text: str) -> dict[str, Any]:
    """The run of a log, which OASIS's schema takes."""
    log = json.loads(text)
    Schema.model_validate(log)
    assert log["version"] == "2.1.0" and "sarif-schema-2.1.0" in log["$schema"]
    (run,) = log["runs"]
    return run  # type: ignore[no-any-return]


def test_a_result_says_the_check_its_grade_its_line_its_layer_and_its_price(
    tmp_path: Path, printed: Print
) -> None:
    path = bare_weight(tmp_path / "m.onnx", Origin("layer1.conv", "model.py:37"))
    run = run_of(printed(path, "--format", "sarif"))
    (found,) = json.loads(printed(path, "--json"))["findings"]
    (result,), (rule,) = run["results"], run["tool"]["driver"]["rules"]
    assert (result["ruleId"], result["level"]) == ("bare-weight", "warning")
    assert result["message"]["text"] == f"{found['message']}. Quantize it."
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "model.py"},
        "region": {"startLine": 37},
    }
    layer = {"name": "conv", "fullyQualifiedName": "layer1.conv", "kind": "module"}
    assert layer in location["logicalLocations"]
    assert result["properties"]["share"] == found["share"] > 0
    assert rule["id"] == "bare-weight" and "`sparqc check --fix`" in rule["help"]["markdown"]
    assert run["artifacts"][0]["location"]["uri"] == path.as_uri()


def test_without_a_line_of_source_the_place_is_the_file(tmp_path: Path, printed: Print) -> None:
    path = bare_weight(tmp_path / "my model.onnx")
    (result,) = run_of(printed(path, "--format", "sarif"))["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": path.as_uri()}}
    assert path.as_uri().endswith("my%20model.onnx")


def test_each_grade_has_its_level(tmp_path: Path, printed: Print) -> None:
    path = small_models.quantized_onnx(tmp_path / "uint8.onnx", np.uint8, 128)
    run = run_of(printed(path, "--format", "sarif", code=1))
    grades = [f["grade"] for f in json.loads(printed(path, "--json", code=1))["findings"]]
    levels = [result["level"] for result in run["results"]]
    assert levels == [{"slow": "warning"}.get(grade, grade) for grade in grades]
    assert "error" in levels


def test_a_file_without_findings_is_a_run_without_results(tmp_path: Path, printed: Print) -> None:
    path = small_models.float_onnx(tmp_path / "float.onnx")
    run = run_of(printed(path, "--format", "sarif"))
    assert run["results"] == run["tool"]["driver"]["rules"] == []
    tests = ElementTree.fromstring(printed(path, "--format", "junit"))
    assert len(tests.findall(".//testcase")) > 20 and not tests.findall(".//failure")


def test_a_check_of_ones_own_has_a_rule(tmp_path: Path, printed: Print) -> None:
    own = tmp_path / "mine.spq"
    own.write_text(
        "check no_relu on onnx grade slow:\n"
        '    "A ReLU is slow."\n'
        "    match:\n        y = nn.relu(x)\n"
        '    message "{y.name} is a ReLU"\n'
    )
    path = small_models.float_onnx(tmp_path / "float.onnx")
    run = run_of(printed(path, "--patterns", str(own), "--format", "sarif"))
    assert run["tool"]["driver"]["rules"] == [{"id": "no-relu"}]


@pytest.mark.parametrize(("fail_on", "failures"), [("error", 0), ("slow", 1), ("never", 0)])
def test_a_finding_is_a_test_that_fails_with_the_command(
    fail_on: str, failures: int, tmp_path: Path, printed: Print
) -> None:
    path = bare_weight(tmp_path / "m.onnx", Origin("layer1.conv", "model.py:37"))
    words = ["--format", "junit", "--fail-on", fail_on]
    suite = ElementTree.fromstring(printed(path, *words, code=failures)).find("testsuite")
    assert suite is not None and suite.get("failures") == str(failures)
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    (test,) = suite.findall("testcase[@name='bare-weight: conv (layer1.conv)']")
    said = test.find("failure" if failures else "system-out")
    assert said is not None and said.text is not None and "% of the time" in said.text


def test_names_that_xml_cannot_hold(tmp_path: Path, printed: Print) -> None:
    path = bare_weight(tmp_path / "m.onnx", name="]]><b>&\x01\x1b\uffff")
    tests = ElementTree.fromstring(printed(path, "--format", "junit")).findall(".//testcase")
    assert tests[-1].get("name") == "bare-weight: ]]><b>&" + "\N{REPLACEMENT CHARACTER}" * 3
    run_of(printed(path, "--format", "sarif"))


def test_a_broken_file_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(small_models.float_onnx(tmp_path / "m.onnx").read_bytes()[:-20])
    for form in ("text", "json", "sarif", "junit"):
        assert cli.run(["check", str(path), "--format", form]) == 3
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.startswith("error: ")


def test_two_formats_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.float_onnx(tmp_path / "float.onnx")
    assert cli.run(["check", str(path), "--json", "--format", "sarif"]) == 2
    assert "give one of them" in capsys.readouterr().err
    assert cli.run(["check", str(path), "--json", "--format", "json"]) == 0

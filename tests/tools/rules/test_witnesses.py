"""`sparqc witnesses`: the list, one of them, and the same as JSON."""

from __future__ import annotations

import json

import pytest

from sparqc.predict.witnesses import witnesses
from sparqc.tools import cli


def ask(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert cli.run(["witnesses", *words]) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def test_each_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ask(capsys).splitlines()
    assert [line.split()[0] for line in lines] == list(witnesses())
    assert (
        "A100 PCIe 40 GB, TensorRT 10.16, batch 32, 36 kernels, 36 timed, 29 of 35 sparse, the "
        "whole timed: UNet (ResNet-34), 256x256: the encoder"
    ) in next(line for line in lines if line.startswith("unet-resnet34-int8"))


def test_one_is_shown_with_its_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ask(capsys, "unet-resnet34-int8").splitlines()
    assert lines[0] == "unet-resnet34-int8"
    assert "  whole      2.96 ms, 2.69 ms with sparse kernels" in lines
    assert (
        "    conv 64 <- 64, 3x3, stride 1x1, 131072 rows, int8, add: 38.4 us, where sparse kernels "
        "were allowed ran sparse, 31 us"
    ) in lines
    assert "  whole      1.2 times faster with sparse kernels" in ask(
        capsys, "resnet34-a40-batch-1"
    )


def test_the_json_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(ask(capsys, "--json"))
    assert [row["name"] for row in data] == list(witnesses())
    found = {row["name"]: row for row in data}["resnet18-qat"]
    assert found["kernels"][1] == {
        "operator": "conv", "k": 64, "c": 64, "rows": 100352, "computes": "int8",
        "kernel": [3, 3], "stride": [1, 1], "groups": 1, "reads": ["int8"], "writes": ["int8"],
        "epilogue": ["activation"], "eligible": False, "dense_us": 32.768,
    }  # fmt: skip
    assert (found["gpu"], found["generation"], found["version"]) == (
        "a100-pcie-80gb", "ga100", "8.4",
    )  # fmt: skip


def test_a_wrong_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = ask(capsys, "unet-resnet34-int4", code=2)
    assert "no witness 'unet-resnet34-int4'" in told and "unet-resnet34-int8" in told

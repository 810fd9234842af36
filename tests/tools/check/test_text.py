"""Findings as lines for a person."""

import dataclasses
from types import SimpleNamespace

from sparqc.passes.check.check import Finding
from sparqc.tools.check.text import checked_lines

FINDING = Finding("residual-bare", "slow", ("a",), "the skip is float", "quantize it", "a book")


def lines(*findings: Finding) -> list[str]:
    context = SimpleNamespace(target=SimpleNamespace(name="tensorrt-11"))
    checked = SimpleNamespace(
        context=context, layers=3, int8_layers=2, sparse_layers=0, gpu_notes=(), findings=findings
    )
    return [line.plain for line in checked_lines("m.onnx", checked)][2:]  # type: ignore[arg-type]


def test_a_cure_says_whether_fix_does_it() -> None:
    fixed = dataclasses.replace(FINDING, fix="lossy")
    assert "  quantize it (--fix does it)" in lines(fixed, fixed)
    assert "  quantize it" in lines(FINDING)


def test_where_fix_cures_a_part_the_line_says_how_many() -> None:
    fixed = dataclasses.replace(FINDING, nodes=("b",), fix="lossy")
    other = dataclasses.replace(FINDING, cure="measure its range, then quantize it")
    assert lines(other, fixed, fixed) == [
        "slow residual-bare (3): the skip is float",
        "  at a, b",
        "  2 of 3: quantize it (--fix does it)",
        "  1 of 3: measure its range, then quantize it",
        "3 slow; --fix cures 2 of them",
    ]

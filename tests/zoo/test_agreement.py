"""TensorRT-RTX does with every architecture of the zoo what was planned for it."""

from pathlib import Path

import pytest

from tests.zoo.agreement import in_half, measure
from tests.zoo.architectures import ARCHITECTURES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_the_compiler_agrees(architecture):
    found = measure(architecture)
    assert found.export_snr > 30  # dB; a wrong graph gives 0
    assert found.report.accepted, found.report.errors
    assert set(found.report.int8_nodes) == set(found.expected.int8_nodes)
    assert found.traffic <= found.plain_traffic
    assert found.sparse >= found.masked


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_the_compiler_agrees_where_floats_are_fp16(architecture):
    expected, report = in_half(architecture)
    assert report.accepted, report.errors
    assert set(report.int8_nodes) == set(expected.int8_nodes)


def test_the_switched_off_rules_are_worth_their_traffic():
    (found,) = (measure(a) for a in ARCHITECTURES if a.name == "temporal")
    assert found.traffic < 0.8 * found.plain_traffic


def test_every_name_is_there_once():
    names = [a.name for a in ARCHITECTURES]
    assert len(set(names)) == len(names) >= 40


def test_the_table_lists_every_architecture():
    rows = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8").splitlines()
    listed = [line.split("|")[1].strip() for line in rows if line.count("|") == 9]
    assert [name for name in listed if name not in ("network", "---")] == [
        a.name for a in ARCHITECTURES
    ]

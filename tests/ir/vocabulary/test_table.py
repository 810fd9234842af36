"""Every row of the operator table: both of its forms mean the same, and read back what they write.

The instances are random (`Operator.sample`), the seeds fixed.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparqc.errors import UsageError
from sparqc.ir.fx.adapter import read_fx, write_fx
from sparqc.ir.graph import dtype_name
from sparqc.ir.onnx.adapter import read_onnx, write_onnx
from sparqc.ir.vocabulary.operator import Operator, Sample
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from tests.ir.instances import content, graph_of, only_node, run

TABLE = default_table()
ROWS = [TABLE.require(name) for name in TABLE.names]
SEEDS = range(5)
OPSETS = (17, 18, 21)
#: Instances of these have several spellings, of which reading chooses one: a size of -1 or the size
#: itself, an end of -1 or the place, ones for an absent scale, a size that is symbolic or not.
SPELLINGS = {"nn.reshape", "nn.expand", "nn.slice", "nn.batch_norm", "nn.instance_norm",
             "nn.group_norm", "nn.expand_to", "nn.reshape_to", "nn.tile_by", "nn.full",
             "nn.reshape_as"}  # fmt: skip
#: Some instances of these take several nodes, which are read as what they are: a Cast beside the
#: operator, an Unsqueeze in front of it, a flip.
MAY_TAKE_SEVERAL = {"nn.cumsum", "nn.range", "nn.tile"}
#: ONNX spells these with several nodes, which are read as what they are.
SEVERAL_NODES = {row.name for row in ROWS if row.onnx and not row.onnx.op_types}


def samples(row: Operator) -> list[Sample]:
    assert row.sample is not None, f"{row.name} has no sample"
    return [row.sample(np.random.default_rng([seed, *row.name.encode()])) for seed in SEEDS]


def of(rows: list[Operator]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def assert_close(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@of([row for row in ROWS if row.fx and row.onnx])
@pytest.mark.parametrize("opset", OPSETS)
def test_both_forms_compute_the_same(row: Operator, opset: int) -> None:
    for sample in samples(row)[:2]:
        fx, feeds = graph_of(row, sample, "fx", TABLE)
        onnx, _ = graph_of(row, sample, "onnx", TABLE, opset)
        assert_close(run(fx, feeds, TABLE), run(onnx, feeds, TABLE))


@of([row for row in ROWS if row.fx])
def test_fx_reads_back_what_it_writes(row: Operator) -> None:
    for sample in samples(row):
        if row.name == "nn.gemm" and sample.operands["c"] is None:
            continue  # torch spells it mm, which is a matmul
        graph, _ = graph_of(row, sample, "fx", TABLE)
        again = read_fx(write_fx(graph, TABLE), TABLE)
        if row.name in SPELLINGS:
            graph, again = again, read_fx(write_fx(again, TABLE), TABLE)
        if row.name in MAY_TAKE_SEVERAL and len(list(again.nodes)) > 1:
            continue
        assert content(only_node(again)) == content(only_node(graph))


@of([row for row in ROWS if row.onnx and row.name not in SEVERAL_NODES])
def test_onnx_reads_back_what_it_writes(row: Operator) -> None:
    opset = 21 if row.name in ("nn.gelu", "nn.group_norm") else 18
    for sample in samples(row):
        graph, _ = graph_of(row, sample, "onnx", TABLE, opset)
        again = read_onnx(write_onnx(graph, TABLE), TABLE)
        if row.name in SPELLINGS:
            graph, again = again, read_onnx(write_onnx(again, TABLE), TABLE)
        if row.name == "nn.linear" and only_node(again).op != "nn.linear":
            continue  # more than two dimensions: a MatMul, tested below
        if row.name in MAY_TAKE_SEVERAL and len(list(again.nodes)) > 1:
            continue
        assert content(only_node(again)) == content(only_node(graph))


@of([row for row in ROWS if row.evaluate])
def test_the_reference_agrees_with_the_forms(row: Operator) -> None:
    assert row.evaluate is not None
    for sample in samples(row):
        graph, feeds = graph_of(row, sample, "fx" if row.fx else "onnx", TABLE)
        expected = row.evaluate(sample.operands, {**row.attributes, **sample.attributes})
        assert_close(list(expected), run(graph, feeds, TABLE))


@of([row for row in ROWS if row.fx])
def test_inferred_types_are_those_of_the_results(row: Operator) -> None:
    for sample in samples(row):
        graph, feeds = graph_of(row, sample, "fx", TABLE)
        for value, array in zip(graph.outputs, run(graph, feeds, TABLE), strict=True):
            assert value.type.shape == array.shape
            assert value.type.dtype in (dtype_name(array.dtype), "sym")


@of(ROWS)
def test_rows_are_whole(row: Operator) -> None:
    assert (row.doc and row.form("fx")) or row.form("onnx")
    names = row.operand_names
    assert len(set(names)) == len(names)
    assert all(not o.variadic for o in row.operands[:-1])
    assert all({*pair} <= {*names} for pair in row.commutes)
    if row.weight:
        assert row.weight.operand in names


def test_a_name_can_be_taken_once() -> None:
    table = OperatorTable([ROWS[0]])
    twin = dataclasses.replace(ROWS[0], doc="mine")
    with pytest.raises(UsageError, match=r"'nn.conv' of toy is already defined by sparqc"):
        table.add(twin, "toy")


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UsageError, match=r"unknown operator 'nn.covn'") as raised:
        TABLE.require("nn.covn")
    assert "did you mean 'nn.conv'" in str(raised.value)


def test_raw_spellings_lead_to_rows() -> None:
    assert TABLE.fx_candidates("aten.conv2d.default")[0] is TABLE.require("nn.conv")
    assert TABLE.fx_candidates("aten.relu_.default")[0] is TABLE.require("nn.relu")
    assert TABLE.fx_candidates("aten.svd.default") == ()
    assert [row.name for row in TABLE.for_onnx("Gemm")] == ["nn.linear", "nn.gemm"]
    assert TABLE.for_onnx("Gemm", "ai.onnx") == TABLE.for_onnx("Gemm")
    assert TABLE.for_onnx("Gemm", "com.microsoft") == ()

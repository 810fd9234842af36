"""Forms that a target misreads: none is written, and `check` finds and cures them in any file."""

import json

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import sparqc
from sparqc.declared.misread import misread, misread_forms
from sparqc.declared.targets import profile, profiles
from sparqc.errors import SparqcError
from sparqc.ir.onnx.adapter import load_onnx, opset_of
from sparqc.tools import cli

OLD = {"linear": "bilinear", "cubic": "bicubic"}


class Sample(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.mode = mode
        self.flow = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x):
        grid = torch.tanh(self.flow(x)).permute(0, 2, 3, 1)
        return F.grid_sample(x, grid, mode=self.mode, align_corners=True)


IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def sampling(mode=None, opset=20, size=(6, 6), operators=()):
    """A file with one GridSample, with `mode` left out for None."""
    words = {} if mode is None else {"mode": mode}
    nodes = [helper.make_node("GridSample", ["x", "grid"], ["y"], name="warp", **words), *operators]
    grid = np.random.default_rng(2).uniform(-1, 1, (2, *size, len(size))).astype(np.float32)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3, *size]) for n in "xy"]
    outputs = [
        helper.make_tensor_value_info(o, TensorProto.BOOL, [2, 3, *size])
        for n in operators[-1:]
        for o in n.output
    ]
    graph = helper.make_graph(
        nodes, "g", ends[:1], [ends[1], *outputs], [numpy_helper.from_array(grid, "grid")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def modes(model):
    nodes = [n for n in model.graph.node if n.op_type == "GridSample"]
    return [helper.get_node_attr_value(n, "mode").decode() for n in nodes]


def test_every_form_is_one_that_onnx_knows_and_that_some_target_reads():
    for form in misread_forms().values():
        schema = onnx.defs.get_schema(form.operator, form.since)
        assert schema.since_version == form.since and form.attribute in schema.attributes
        targets = [p for p in profiles().values() if form.is_for(p.name)]
        assert targets and all(p.min_opset < form.since for p in targets)
        assert form.source and form.values


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("target", sorted(t for t in profiles() if t.startswith("tensorrt")))
@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_a_compile_writes_the_form_that_is_read(mode, target, road):
    torch.manual_seed(3)
    model = Sample(mode).eval()
    if road == "ONNX":
        word = {v: k for k, v in OLD.items()}.get(mode, mode)
        model = sampling(mode, 16) if target == "tensorrt-8.6" else sampling(word, 20)
    done = sparqc.compile(model, (IMAGES,), passes="float", target=target)
    assert modes(done.model) == [mode]
    newest = 20 if mode == "nearest" else 19
    assert opset_of(done.model) <= min(newest, profile(target).max_opset)
    assert done.difference.max_relative < 1e-5 and not misread(done.model, target)


def test_an_opset_that_was_asked_for_is_not_written_wrong():
    with pytest.raises(SparqcError, match=r"reads a GridSample with mode = linear as nearest \(NV"):
        sparqc.compile(Sample("bilinear"), (IMAGES,), passes="export{opset=20}")
    done = sparqc.compile(Sample("bilinear"), (IMAGES,), passes="export{opset=18}")
    assert opset_of(done.model) == 18


UNLOWERED = [  # before opset 20 it takes no f16
    helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
    helper.make_node("IsInf", ["half"], ["odd"]),
]


def test_an_operator_that_only_takes_more_types_now_is_written_in_the_older_opset():
    isnan = helper.make_node("IsNaN", ["x"], ["odd"])
    report = sparqc.compile(sampling("linear", operators=[isnan]), (IMAGES,), passes="float")
    assert opset_of(report.model) == 19 and modes(report.model) == ["bilinear"]


def test_what_no_older_opset_has_is_refused():
    model = sampling("linear", operators=UNLOWERED)
    with pytest.raises(SparqcError, match=r"the target tensorrt-11 reads a GridSample"):
        sparqc.compile(model, (IMAGES,), passes="float")


@pytest.mark.parametrize("mode", [None, "linear", "cubic", "nearest"])
@pytest.mark.parametrize("target", sorted(t for t in profiles() if t.startswith("tensorrt")))
def test_check_finds_and_cures_it(mode, target, tmp_path, capsys):
    path, made = tmp_path / "m.onnx", tmp_path / "fixed.onnx"
    onnx.save(sampling(mode), path)
    wrong = mode != "nearest"
    code = cli.run(["check", str(path), "--target", target, "--json"])
    ids = [f["id"] for f in json.loads(capsys.readouterr().out)["findings"]]
    assert ("misread-form" in ids) == wrong and code == (wrong or target == "tensorrt-8.6")
    if wrong:
        cli.run(["check", str(path), "--target", target, "--fix", "-o", str(made), "--json"])
        data = json.loads(capsys.readouterr().out)
        assert data["fixed"]["misread-form"] == 1
        model = load_onnx(made)
        assert modes(model) == [OLD[mode or "linear"]] and opset_of(model) == 19
        assert not misread(model, target)


def test_a_cure_that_is_none_is_not_told_as_one(tmp_path, capsys):
    path, made = tmp_path / "m.onnx", tmp_path / "fixed.onnx"
    onnx.save(sampling("linear", operators=UNLOWERED), path)
    assert cli.run(["check", str(path), "--fix", "-o", str(made), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert "misread-form" not in data["fixed"]
    assert "misread-form" in [f["id"] for f in data["findings"]]


def test_it_is_found_in_a_branch_too():
    inner = sampling("cubic").graph
    branch = helper.make_graph(list(inner.node), "b", [], [inner.output[0]], inner.initializer)
    node = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    ends = [inner.input[0], helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
    graph = helper.make_graph([node], "g", ends, [helper.make_empty_tensor_value_info("z")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    assert [m.value for m in misread(model, "tensorrt-rtx")] == ["cubic", "cubic"]
    assert not misread(model, "another")

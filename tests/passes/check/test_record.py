"""What `record` writes into a file, and what `lost` finds against it."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import sparqc
from sparqc.declared.targets import profile
from sparqc.ir.onnx.adapter import read_onnx
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.check.lost_layers import lost_layers
from sparqc.passes.check.record import inventory
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context

TABLE = default_table()

PAIR = """
x: f32[1, 4, 8, 8]
w: const i8[2, 4, 1, 1] = [[[[1]], [[0]], [[-3]], [[0]]], [[[0]], [[1]], [[0]], [[-7]]]]
s: const f32[] = 0.05
t: const f32[2] = [0.1, 0.2]
z: const i8[] = 0
q = q.quantize(x, s, z)
d = q.dequantize(q, s, z)
u = q.dequantize(w, t, axis=0)
c = nn.conv(d, u)
y = nn.relu(c)
"""


def read(text):
    return parse_statements(text, TABLE, "onnx")


def recorded(text):
    """The metadata that the pass gives a graph."""
    graph = read(text)
    context = Context(TABLE, rulebook(), profile("tensorrt-11"), Action())
    assert make("record").run(graph, context) == 4
    assert make("record").run(graph, context) == 0  # nothing is left to do
    return graph.native.metadata


def ids_after(text, metadata=None):
    """What is found in a graph that has the metadata of the good one."""
    graph = read(text)
    metadata = recorded(PAIR) if metadata is None else metadata
    graph.native = dataclasses.replace(graph.native, metadata=metadata)
    return [(finding.id, *finding.nodes) for finding in lost_layers(graph, TABLE)]


def test_the_entries():
    assert dict(recorded(PAIR)) == {
        "sparqc.target": "tensorrt-11",
        "sparqc.int8": '["c"]',
        "sparqc.sparse": '["c"]',
        "sparqc.quantized": '["x"]',
    }


def test_other_entries_stay():
    graph = read(PAIR)
    graph.native = dataclasses.replace(graph.native, metadata=(("author", "me"),))
    make("record").run(graph, Context(TABLE, rulebook(), profile("tensorrt-11"), Action()))
    assert graph.native.metadata[0] == ("author", "me")


def test_nothing_is_lost_in_the_graph_itself():
    assert ids_after(PAIR) == []


def test_nothing_is_known_of_a_file_without_the_entries():
    assert ids_after("x: f32[1, 4]\ny = nn.relu(x)", metadata=()) == []


def test_a_folded_weight():
    text = PAIR.replace("u = q.dequantize(w, t, axis=0)", "v: const f32[2, 4, 1, 1]")
    text = text.replace("nn.conv(d, u)", "nn.conv(d, v)")
    found = ids_after(text)
    assert ("int8-lost", "c") in found


def test_a_layer_whose_pairs_are_all_gone():
    text = "x: f32[1, 4, 8, 8]\nw: const f32[2, 4, 1, 1] = [[[[1]], [[2]], [[-3]], [[0]]], "
    text += "[[[0]], [[1]], [[0]], [[-7]]]]\nc = nn.conv(x, w)\ny = nn.relu(c)"
    assert ids_after(text) == [("int8-lost", "c"), ("sparse-lost", "c"), ("quantizer-lost", "x")]


def test_codes_that_are_no_longer_2_4():
    assert ids_after(PAIR.replace("[[1]], [[0]], [[-3]]", "[[1]], [[5]], [[-3]]", 1)) == [
        ("sparse-lost", "c")
    ]


def test_a_renamed_layer_is_no_loss():
    assert ids_after(PAIR.replace("c = nn", "other = nn").replace("relu(c)", "relu(other)")) == []


def test_a_name_that_went_to_the_cast_behind_the_layer_is_no_loss():
    text = PAIR.replace("c = nn.conv(d, u)", 'k = nn.conv(d, u)\nc = nn.cast(k, to="f32")')
    assert ids_after(text) == []


def test_a_cast_in_front_of_a_quantizer_is_no_loss():
    text = PAIR.replace("q = q.quantize(x", 'h = nn.cast(x, to="f32")\nq = q.quantize(h')
    assert ids_after(text) == []


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[1]", "[" * 100_000, "null"])
def test_entries_that_are_no_lists_are_a_finding(text):
    (found,) = ids_after(PAIR, metadata=(("sparqc.int8", text),))
    assert found[0] == "record-unreadable"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=8), unique=True, max_size=5))
def test_each_name_that_is_gone_is_a_finding(names):
    names = [name for name in names if name != "c"]
    metadata = (("sparqc.int8", json.dumps(["c", *names])),)
    assert ids_after(PAIR, metadata) == [("int8-lost", name) for name in names]


class Net(nn.Module):
    """Two convolutions whose attributes have names that are given."""

    def __init__(self, *names):
        super().__init__()
        torch.manual_seed(0)
        self.names = names
        for name in names:
            self.add_module(name, nn.Conv2d(16, 16, 3, padding=1))

    def forward(self, x):
        for name in self.names:
            x = torch.relu(getattr(self, name)(x))
        return x


def test_the_list_holds_what_the_file_calls_them():
    x = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    one, other = (
        sparqc.compile(Net(*names).eval(), (x,), calibration=lambda: [[x]]).model
        for names in (("a", "b"), ("stem", "head"))
    )
    metadata = {entry.key: entry.value for entry in one.metadata_props}
    outputs = {name for node in one.graph.node for name in node.output}
    assert len(json.loads(metadata["sparqc.int8"])) == 2
    assert outputs.issuperset(json.loads(metadata["sparqc.int8"]))
    assert metadata == {entry.key: entry.value for entry in other.metadata_props}


@pytest.mark.parametrize("float_type", ["fp32", "fp16"])  # behind FP16 stands a Cast
def test_a_layer_that_is_an_output_is_known_by_the_name_of_the_output(float_type):
    x = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)).eval()
    model = sparqc.compile(net, (x,), calibration=lambda: [[x]], float=float_type).model
    graph = read_onnx(model, TABLE)
    name = model.graph.output[0].name if float_type == "fp32" else "linear_1"
    assert inventory(graph, TABLE).int8[-1] == name
    assert list(lost_layers(graph, TABLE)) == []

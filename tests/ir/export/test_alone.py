"""Operators outside the table: torch.onnx exports them alone, in a graph that stays as it is."""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sparqc
from sparqc.errors import NoForm, SparqcError
from sparqc.ir.export.alone import TorchExporter
from sparqc.ir.export.direct import export_graph, to_onnx
from sparqc.ir.fx.adapter import read_fx
from sparqc.ir.graph import Graph, TensorType
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.vocabulary.operator import OnnxForm
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from sparqc.passes.check.check import Findings
from tests.ir.models import Quantized, exported

TABLE = default_table()


def images(count, channels=4):
    return torch.randn(count, channels, 8, 8, generator=torch.Generator().manual_seed(count))


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def captured(model, *args):
    return read_fx(exported(model, *(args or (images(2),))), TABLE, name="net")


def compared(model, counts=(2, 5), inputs=lambda n: (images(n),)):
    """Export a model, check the graph, compare its numbers at two batch sizes; what was exported
    alone, and the graph."""
    found = export_graph(captured(model, *inputs(2)), TABLE, 20)
    found.graph.verify()
    onnx.checker.check_model(write_onnx(found.graph, TABLE), full_check=True)
    runner = open_runner(found.graph, TABLE)
    for count in counts:
        x = inputs(count)
        expected = model(*x)
        expected = [expected] if isinstance(expected, torch.Tensor) else expected
        outputs, _ = runner.run([t.numpy() for t in x])
        for actual, wanted in zip(outputs, expected, strict=True):
            assert actual.shape == tuple(wanted.shape)
            assert np.allclose(actual, wanted.detach().numpy(), atol=1e-4)
    return dict(found.alone), found.graph


def in_place(x):
    y = x.abs() + 1
    y.xlogy_(y)
    return y * 2


def slice_assignment(x):
    y = x * 2
    y[:, ::2] = torch.special.entr(x[:, ::2].abs())
    return F.unfold(y, 3, padding=1)


def symbolic_sizes(x):
    return torch.eye(x.shape[0]) @ x.flatten(1)


def size_outside(x):
    return x.unsqueeze(0).expand(x.shape[0] % 3 + 2, -1, -1, -1, -1)


CASES = {
    "one operator alone": (lambda x: torch.special.entr(x.abs()), ["aten.special_entr.default"]),
    "in place": (in_place, ["aten.xlogy.Tensor"]),
    "slice assignment": (slice_assignment, ["aten.special_entr.default",
                                            "aten.slice_scatter.default", "aten.im2col.default"]),
    "there and back": (lambda x: F.fold(F.unfold(x, 3, padding=1), (8, 8), 3, padding=1),
                       ["aten.im2col.default", "aten.col2im.default"]),
    "symbolic sizes": (symbolic_sizes, ["aten.eye.default"]),
    "a size that a row reads": (size_outside, ["sym.mod"]),
    "several outputs": (lambda x: torch.aminmax(x, dim=1), ["aten.aminmax.default"]),
    "one of several outputs": (lambda x: torch.aminmax(x, dim=1)[1] + 1, ["aten.aminmax.default"]),
    "a list": (lambda x: torch.ops.aten.unsafe_split.Tensor(x.relu(), 2, 1),
               ["aten.unsafe_split.Tensor"]),
    "a large constant": (lambda x: torch.bucketize(x, torch.linspace(-1, 1, 200)),
                         ["aten.bucketize.Tensor"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_computes_the_same_at_other_batch_sizes(name):
    function, operators = CASES[name]
    alone, _ = compared(Calls(function))
    assert set(alone) == set(operators)


def test_what_no_tensor_carries_is_exported_together():
    """Complex numbers lead from one operator to another."""
    function = lambda x: torch.fft.irfft(torch.fft.rfft(x * 2) * 2).relu()  # noqa: E731
    alone, graph = compared(Calls(function))
    assert alone == dict.fromkeys(
        ("aten.fft_rfft.default", "aten.mul.Tensor", "aten.fft_irfft.default"), 1
    )
    assert "relu" in graph and "mul" in graph


class Odd(Quantized):
    """With an operator that the table does not have in the middle."""

    def after(self, x):
        return torch.special.entr(x + 1)


def test_everything_around_it_is_as_without_it():
    torch.manual_seed(0)
    plain, odd = Quantized(), Odd()
    odd.load_state_dict(plain.state_dict())
    alone, graph = compared(odd, inputs=lambda n: (images(n, 3),))
    without = to_onnx(captured(plain, images(2, 3)), TABLE, 20)
    assert alone == {"aten.special_entr.default": 1}
    layers = [n for n in without.nodes if n.op in ("nn.conv", "nn.matmul", "nn.linear")]
    assert len(layers) == 4
    for node in layers:
        same = graph.value(node.output.name).producer
        assert same.op == node.op
        assert same.origin.module == node.origin.module
    weights = {c.name for c in without.constants}
    assert weights <= {c.name for c in graph.constants}
    assert all("sparqc" not in n.op for n in graph.nodes)


def test_the_nodes_of_a_piece_say_where_they_come_from_and_are_named_after_it():
    graph = captured(Calls(lambda x: F.unfold(x.relu(), 3, padding=1)))
    (node,) = (n for n in graph.nodes if n.op == "aten.im2col.default")
    found = to_onnx(graph, TABLE, 20)
    inside = [n for n in found.nodes if n.op != "nn.relu"]
    assert len(inside) > 5
    assert {n.origin for n in inside} == {node.origin}
    assert node.origin.source.startswith("test_alone.py:")
    # The value behind the output has its own name; the others are called after the output.
    assert found.value("im2col") in found.outputs
    names = [v.name for n in inside for v in n.outputs if not v.is_output]
    assert all(name.startswith("output_") for name in names)


def test_equal_operators_go_through_the_exporter_once(monkeypatch):
    counts = []
    original = TorchExporter._exported

    def counted(self, pieces):
        counts.append(len(pieces))
        return original(self, pieces)

    monkeypatch.setattr(TorchExporter, "_exported", counted)

    def twice(x):
        for _ in range(2):
            x = torch.special.entr(x.abs().relu())
        return torch.frac(x)

    alone, graph = compared(Calls(twice))
    assert alone == {"aten.special_entr.default": 2, "aten.frac.default": 1}
    assert counts == [2]  # both kinds in one call
    assert [f"special_entr{n}" in graph for n in ("", "_1")] == [True, True]


def test_weights_are_the_same_arrays():
    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.edges = nn.Conv2d(4, 8, 3), nn.Parameter(torch.linspace(-1, 1, 200))

        def forward(self, x):
            return torch.bucketize(self.conv(x), self.edges)

    graph = captured(Layers())
    found = to_onnx(graph, TABLE, 20)
    for name in ("conv.weight", "conv.bias", "edges"):
        assert np.shares_memory(found.value(name).data, graph.value(name).data)


class Recurrent(nn.Module):
    """An LSTM, whose gates ONNX has in another order."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(32, 16, batch_first=True)

    def forward(self, x):
        return self.lstm(x.flatten(2).reshape(-1, 8, 32))[0]


def test_what_follows_from_weights_alone_is_stored():
    torch.manual_seed(0)
    _, graph = compared(Recurrent())
    (node,) = (n for n in graph.nodes if n.op == "onnx.LSTM")
    assert all(node.operands[slot].is_const for slot in ("W", "R", "B"))
    assert not [c for c in graph.constants if c.name.startswith("lstm.weight")]


def test_a_value_of_unknown_type_is_named():
    graph = captured(Calls(lambda x: torch.special.entr(x.relu())))
    graph.value("relu").type = TensorType("f32")
    with pytest.raises(SparqcError, match=r"entr\.default has no form.* type of 'relu' is unknown"):
        to_onnx(graph, TABLE, 20)


# -- two calls of one layer ----------------------------------------------------------------------


class Twice(nn.Module):
    """A layer that is called twice, next to an operator outside the table: RAFT's encoder."""

    def __init__(self):
        super().__init__()
        self.c, self.o = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(32, 16, 3, padding=1)

    def forward(self, a, b):
        x, y = self.c(a), self.c(b)
        return self.o(torch.cat([x, y], 1)), F.unfold(x, 3, padding=1)


@pytest.mark.parametrize("preset", ["all-sparse", "int8", "sparse", "one-shot"])
def test_a_layer_that_is_called_twice_keeps_its_mask(preset):
    torch.manual_seed(0)
    inputs = (images(2, 16), images(3, 16)[:2])
    compiled = sparqc.compile(Twice().eval(), inputs, passes=preset, random_calibration=True)
    assert compiled.opaque == {"aten.im2col.default": 1}
    assert not [f for f in compiled.context.facts[Findings].findings if f.grade == "error"]
    layers = [n.output.name for n in compiled.graph.nodes if n.op == "nn.conv"]
    assert layers[:2] == ["conv", "conv_1"]
    assert set(compiled.context.facts.get("prune", layers)) <= set(layers)


# -- what cannot be exported ---------------------------------------------------------------------


def test_an_operator_that_nothing_can_write_is_named_with_its_place():
    model = Calls(lambda x: torch.frac(torch.special.bessel_j0(x)))
    with pytest.raises(SparqcError) as caught:
        to_onnx(captured(model), TABLE, 20)
    message = str(caught.value)
    assert "aten.special_bessel_j0.default has no form in ONNX" in message
    assert "(test_alone.py:" in message
    assert "torch.onnx cannot export it" in message


def test_an_operator_that_holds_for_one_batch_size_only_is_refused():
    graph = Graph("fx")
    x = graph.add_input("x", TensorType("f32", ("batch", 3)))
    parts = graph.create("aten.unbind.int", {"self": x}, {"dim": 0},
                         types=[TensorType("f32", (3,))] * 2)  # fmt: skip
    graph.set_outputs(list(parts.outputs))
    with pytest.raises(SparqcError, match=r"aten\.unbind\.int has no form in ONNX"):
        to_onnx(graph, TABLE, 20)


def test_a_batch_of_one_is_no_fixed_size():
    graph = captured(Calls(lambda x: torch.special.entr(x.abs())))
    one = export_graph(graph, TABLE, 20, example=[images(1).numpy()]).graph
    x = images(5)
    (y,), _ = open_runner(one, TABLE).run([x.numpy()])
    assert np.allclose(y, torch.special.entr(x.abs()).numpy(), atol=1e-6)


class Relu(Exception):
    """Not an error of sparqc's."""


def with_relu_that_raises(error):
    """The table with another writer of nn.relu."""

    def write(node, emitter):
        emitter.emit("Relu", [node.operands["x"]], outputs=[emitter.temp("half")])
        raise error

    def changed(row):
        if row.name != "nn.relu":
            return row
        form = OnnxForm(row.onnx.op_types, row.onnx.read, write)
        return type(row)(**{**vars(row), "onnx": form})

    return OperatorTable(changed(TABLE.get(name)) for name in TABLE.names)


@pytest.mark.parametrize("error", [SparqcError("a writer's own"), Relu("a bug")])
def test_a_writers_own_error_is_not_swallowed(error):
    graph = captured(Calls(lambda x: torch.special.entr(x.relu())))
    with pytest.raises(type(error), match=str(error)):
        to_onnx(graph, with_relu_that_raises(error), 20)


def test_a_use_that_a_writer_cannot_spell_goes_alone():
    graph = captured(Calls(lambda x: x.relu() * 2))
    table = with_relu_that_raises(NoForm("not this one"))
    found = export_graph(graph, table, 20)
    assert found.alone == {"nn.relu": 1}
    x = images(3)
    (y,), _ = open_runner(found.graph, TABLE).run([x.numpy()])
    assert np.array_equal(y, x.relu().numpy() * 2)


class Causal(nn.Module):
    """Causal attention, whose row writes a fixed number of tokens only."""

    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x, is_causal=True)


def test_causal_attention_over_any_number_of_tokens():
    x = images(2)
    sizes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("tokens")}
    program = torch.export.export(Causal(), (x,), dynamic_shapes=(sizes,), strict=False)
    graph = read_fx(program.module(check_guards=False), TABLE)
    found = export_graph(graph, TABLE, 20)
    assert found.alone == {"nn.attention": 1}
    for tokens in (3, 8):
        y = images(4)[:, :, :tokens].contiguous()
        (actual,), _ = open_runner(found.graph, TABLE).run([y.numpy()])
        assert np.allclose(actual, Causal()(y).numpy(), atol=1e-5)

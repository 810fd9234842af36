"""Reading exported graphs: one graph for every spelling, functional, with telling names.

The models are captured with a dynamic batch, as the compiler does it.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sparqc.capture.capture import capture
from sparqc.errors import SparqcError
from sparqc.ir.fx.adapter import InPlaceError, read_fx
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.text.print import print_graph
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()


class Model(nn.Module):
    """A module around a function, with a convolution to start from."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.other = nn.Conv2d(3, 4, 1)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x), self.other(x))


def graph_of(function):
    return capture(Model(function), (torch.randn(2, 3, 6, 6),)).graph


def text_of(function):
    return print_graph(graph_of(function), TABLE, origins=False)


def ops(graph):
    return [node.op for node in graph.nodes]


def assert_same_numbers(function):
    """The graph computes what the model computes, on a batch of another size."""
    x = torch.randn(3, 3, 6, 6)
    with torch.no_grad():
        expected = Model(function).eval()(x.clone())
    actual = open_runner(graph_of(function), TABLE).run([x.numpy()])[0]
    expected = expected if isinstance(expected, tuple) else (expected,)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e.numpy())


# -- spellings ----------------------------------------------------------------------------------


def plus_equals(x, y):
    x += y
    return x


ADDS = [
    lambda x, y: y + x,
    plus_equals,
    lambda x, y: torch.add(x, y),
    lambda x, y: torch.add(y, x),
    lambda x, y: x.add(y),
    lambda x, y: x.add_(y),
    lambda x, y: y.add_(x),
]
RELUS = [torch.relu, nn.ReLU(), nn.ReLU(inplace=True), lambda x: x.relu_(), torch.relu_]


@pytest.mark.parametrize("add", ADDS)
def test_every_spelling_of_a_sum_is_one_graph(add):
    assert text_of(add) == text_of(lambda x, y: x + y)


@pytest.mark.parametrize("relu", RELUS)
def test_every_spelling_of_relu_is_one_graph(relu):
    assert text_of(lambda x, y: relu(x + y)) == text_of(lambda x, y: functional.relu(x + y))


def test_values_are_numbered_by_what_defines_them():
    graph = graph_of(lambda x, y: torch.relu(x + y) + x)
    names = [v.name for node in graph.nodes for v in node.outputs]
    assert names == ["conv", "conv_1", "add", "relu", "add_1"]
    assert {"conv.weight", "conv.bias", "other.weight"} <= {c.name for c in graph.constants}


def test_a_number_becomes_a_constant_behind_the_tensor():
    assert text_of(lambda x, y: 2 * x + y) == text_of(lambda x, y: y + x * 2.0)
    node = next(n for n in graph_of(lambda x, y: 2 * x).nodes if n.op == "nn.mul")
    constant = node.operands["b"].data
    assert constant == 2 and constant.dtype == np.float32 and constant.shape == ()


def test_a_factor_in_a_sum_keeps_the_call_raw():
    assert "aten.add.Tensor" in ops(graph_of(lambda x, y: torch.add(x, y, alpha=2)))


def test_mixed_types_keep_the_call_raw():
    graph = graph_of(lambda x, y: x + torch.ones(4, 1, 1, dtype=torch.float64))
    assert "aten.add.Tensor" in ops(graph)


def test_nodes_know_the_module_and_the_line_they_come_from():
    graph = graph_of(lambda x, y: torch.relu(x) + y)
    conv, _, relu, _ = graph.nodes
    assert conv.origin.module == "conv"
    assert relu.origin.module == ""
    assert all(n.origin.source.startswith("test_read.py:") for n in graph.nodes)


def test_constants_share_the_memory_of_the_weights():
    model = Model(lambda x, y: x)
    graph = capture(model, (torch.randn(1, 3, 6, 6),)).graph
    weight = graph.value("conv.weight").data
    assert np.shares_memory(weight, model.conv.weight.detach().numpy())


def test_weights_in_bfloat16_are_read():
    model, x = Model(lambda x, y: x + y).bfloat16(), torch.randn(2, 3, 6, 6).bfloat16()
    graph = capture(model, (x,)).graph
    assert graph.value("conv.weight").type.dtype == "bf16"
    expected = model(x).float().detach().numpy()
    actual = open_runner(graph, TABLE).run(capture(model, (x,)).example)[0][0]
    np.testing.assert_array_equal(actual.astype(np.float32), expected)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout]
)
def test_a_dropout_changes_nothing(kind, inplace):
    dropout = kind(0.5, inplace).eval()
    assert ops(graph_of(lambda a, b: dropout(a) + b)).count("nn.identity") == 1
    assert_same_numbers(lambda a, b: dropout(a) + b)


@pytest.mark.parametrize(
    ("given", "named"),
    [("cBij, caij", "cbij,caij->ba"), ("...ij, ...jk", "...ij,...jk->...ik")],
)
def test_the_result_of_an_einsum_is_named(given, named):
    def function(a, b):
        return torch.einsum(given, a, b)

    (einsum,) = (n for n in graph_of(function).nodes if n.op == "nn.einsum")
    assert einsum.attributes["equation"] == named
    assert_same_numbers(function)


def test_the_letters_of_an_einsum_are_small():
    def function(a, b):
        return torch.einsum("B c H W, B c h w -> B H w", a, b)

    (einsum,) = (n for n in graph_of(function).nodes if n.op == "nn.einsum")
    assert einsum.attributes["equation"] == "acbd,achw->abw"
    assert_same_numbers(function)


def test_an_unread_result_is_dropped():
    assert ops(graph_of(lambda x, y: (x.exp(), y)[1])) == ["nn.conv"]


# -- in place -----------------------------------------------------------------------------------


def test_later_uses_of_a_changed_tensor_see_the_new_value():
    def function(x, y):
        z = x * 2
        z.relu_()
        return z + y

    assert_same_numbers(function)
    assert text_of(function) == text_of(lambda x, y: torch.relu(x * 2) + y)


def write_a_slice(x, y):
    z = x * 2
    z[:, 1:3] += y[:, :2]
    return z - y


def write_a_row(x, y):
    z = x * 2
    z[:, 0, 1] = 5
    return z, z + y


@pytest.mark.parametrize("function", [write_a_slice, write_a_row])
def test_writing_to_a_part_gives_the_whole_a_new_value(function):
    assert_same_numbers(function)
    assert {"nn.slice_scatter", "nn.select_scatter"} & set(ops(graph_of(function)))


def change_under_a_view(x, y):
    z = x * 2
    view = z.reshape(z.shape[0], -1)
    z.relu_()
    return view + 1


def test_a_tensor_changed_under_a_view_is_captured_by_a_second_trace():
    assert_same_numbers(change_under_a_view)


def test_a_tensor_changed_under_a_view_cannot_be_read_directly():
    program = torch.export.export(Model(change_under_a_view), (torch.randn(2, 3, 6, 6),))
    with pytest.raises(InPlaceError, match=r"test_read.py:\d+: aten.relu_.default changes"):
        read_fx(program.module(check_guards=False), TABLE)


def test_half_plus_single_in_place_stays_half():
    def function(x, y):
        z = x.half()
        z += y.double()
        return z

    assert_same_numbers(function)


# -- tensors known ahead ------------------------------------------------------------------------


def with_a_mask(x, y):
    mask = torch.zeros(6, 6)
    mask[1:3] = 1
    mask[:, 4].fill_(2)
    return x * mask + torch.arange(6)


def test_tensors_made_of_constants_are_computed_once():
    graph = graph_of(with_a_mask)
    assert_same_numbers(with_a_mask)
    assert ops(graph) == ["nn.conv", "nn.mul", "aten.add.Tensor"]


def test_a_known_tensor_is_taken_as_it_is_at_that_time():
    def function(x, y):
        mask = torch.ones(6)
        z = x * mask
        mask += 1
        return z - y * mask

    assert_same_numbers(function)


def test_a_known_tensor_that_takes_in_an_input_stays_in_the_graph():
    def function(x, y):
        buffer = torch.zeros(4)
        buffer += x.mean((0, 2, 3))
        return buffer

    assert_same_numbers(function)


def test_what_is_computed_from_weights_stays_in_the_graph():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 6))

        def forward(self, x):
            return x @ self.w.t()

    graph = capture(Tied(), (torch.randn(2, 6),)).graph
    assert ops(graph) == ["nn.transpose", "nn.matmul"]


# -- raw calls ----------------------------------------------------------------------------------


def put_at_places(x, y):
    changed = x + 0
    changed[:, torch.tensor([0, 1]), :, torch.tensor([2, 3])] = 0.5
    return changed


RAW = {
    "attributes": lambda x, y: torch.cumsum(x, 1) + torch.linalg.matrix_norm(y)[..., None, None],
    "several results": lambda x, y: torch.sort(x, dim=1),
    "a symbolic size": lambda x, y: torch.arange(x.shape[0] * 2)[: x.shape[0]] + x.sum((1, 2, 3)),
    "a list with gaps": put_at_places,
    "a dtype": lambda x, y: torch.sum(x, 1, dtype=torch.float64),
    "a list of tensors": lambda x, y: torch.cartesian_prod(x[0, 0, 0], y[0, 0, 0]),
    "a scalar": lambda x, y: torch.special.xlog1py(x, 3.5),
    "a condition": lambda x, y: torch.cond(x.sum() > 0, lambda a: a + 1, lambda a: a - 1, (y,)),
}


@pytest.mark.parametrize("function", RAW.values(), ids=RAW)
def test_calls_outside_the_table_pass_through(function):
    assert_same_numbers(function)
    graph = graph_of(function)
    assert any(node.op not in TABLE.names for node in graph.nodes)
    assert "sparqc" not in print_graph(graph, TABLE)


def test_symbolic_sizes_are_named_after_the_batch():
    graph = graph_of(lambda x, y: torch.cat([x, y]).reshape(-1, 2, 6, 6))
    assert graph.inputs[0].type.shape == ("batch", 3, 6, 6)
    assert graph.outputs[0].type.shape == ("4*batch", 2, 6, 6)


def test_no_grad_and_disabled_autocast_leave_no_border():
    def function(x, y):
        with torch.no_grad():
            z = x + y
        with torch.autocast("cpu", enabled=False):
            return torch.relu(z)

    with torch.enable_grad():
        program = torch.export.export(Model(function), (torch.randn(2, 3, 6, 6),))
    graph = read_fx(program.module(check_guards=False), TABLE)
    assert ops(graph) == ["nn.conv", "nn.conv", "nn.add", "nn.relu"]


# -- outputs and bad input ----------------------------------------------------------------------


def test_outputs_are_named_after_their_keys():
    graph = graph_of(lambda x, y: {"a": x, "b": (y, None, x + y)})
    assert graph.output_names == ["a", "b_0", "b_2"]
    assert graph_of(lambda x, y: x).output_names == ["output"]
    assert graph_of(lambda x, y: [x, y]).output_names == ["output_0", "output_1"]


def test_a_traced_module_is_refused():
    with pytest.raises(SparqcError, match=r"was not made by torch.export"):
        read_fx(torch.fx.symbolic_trace(Model(lambda x, y: x + y)), TABLE)


def test_sparse_weights_are_refused():
    model = Model(lambda x, y: x)
    model.register_buffer("s", torch.eye(4).to_sparse())
    model.function = lambda x, y: torch.sparse.mm(model.s, x.reshape(4, -1))
    with pytest.raises(SparqcError, match="sparse_coo tensor of float32 cannot be compiled"):
        capture(model, (torch.randn(1, 3, 6, 6),), dynamic_batch=False)


def test_an_input_is_called_as_the_argument_is():
    """torch.fx names the node of an argument `input` after it, but not just so."""
    graph = capture(torch.nn.Linear(4, 4), (torch.randn(2, 4),)).graph
    assert [v.name for v in graph.inputs] == ["input"]

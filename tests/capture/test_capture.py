"""Capturing models: what is dynamic, and what a person is told where it does not work."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from sparqc.capture.capture import capture
from sparqc.errors import SparqcError, UsageError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x)).relu()


class Around(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args, **kwargs):
        return self.function(*args, **kwargs)


X = torch.randn(1, 3, 8, 8)


# -- what comes out -----------------------------------------------------------------------------


def test_an_example_of_one_gives_a_dynamic_batch():
    captured = capture(Net(), (X,), name="net")
    assert captured.dynamic and captured.notes == ()
    assert captured.graph.name == "net"
    assert captured.graph.inputs[0].type.shape == ("batch", 3, 8, 8)
    np.testing.assert_array_equal(captured.example[0], X.numpy())


def test_a_static_batch_on_request():
    captured = capture(Net(), (X,), dynamic_batch=False)
    assert not captured.dynamic
    assert captured.graph.inputs[0].type.shape == (1, 3, 8, 8)


def test_a_model_made_for_one_batch_is_captured_with_it_and_a_note():
    captured = capture(Around(lambda x: x + torch.ones(3, 1)), (torch.randn(3, 5),))
    assert not captured.dynamic
    assert captured.graph.inputs[0].type.shape == (3, 5)
    assert "a dynamic one fails" in captured.notes[0]


def test_inputs_that_are_no_batch_stay_static():
    model = Around(lambda x, y, z: x * y.sum() + z)
    graph = capture(model, (torch.randn(4, 3), torch.randn(5), torch.tensor(1.0))).graph
    assert [v.type.shape for v in graph.inputs] == [("batch", 3), (5,), ()]


def test_keyword_inputs_and_inputs_that_are_no_tensors():
    class Masked(nn.Module):
        def forward(self, x, scale, *, mask=None, bias=None):
            return x * scale * mask

    named = {"mask": torch.ones(2, 3), "bias": None}
    captured = capture(Masked(), (torch.randn(2, 3), 2.5), kwargs=named)
    assert captured.dynamic
    assert [v.type.shape for v in captured.graph.inputs] == [("batch", 3)] * 2
    assert len(captured.example) == 2


def test_results_in_a_dataclass_are_named_after_its_fields():
    @dataclass
    class Result:
        logits: torch.Tensor
        hidden: torch.Tensor

    torch.export.register_dataclass(Result, serialized_type_name="test_capture.Result")
    captured = capture(Around(lambda x: Result(x + 1, x * 2)), (X,))
    assert captured.graph.output_names == ["logits", "hidden"]


def test_dropout_and_batch_norm_are_captured_for_inference():
    model = nn.Sequential(Net(), nn.Dropout(0.5)).train()
    ops = [node.op for node in capture(model, (X,)).graph.nodes]
    assert ops == ["nn.conv", "nn.batch_norm", "nn.relu", "nn.identity"]
    assert model.training and model[0].norm.training


def test_a_transformer_layer_is_captured_as_its_parts():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).requires_grad_(False)
    ops = {node.op for node in capture(layer, (torch.randn(2, 5, 8),)).graph.nodes}
    assert {"nn.attention", "nn.linear", "nn.layer_norm"} <= ops


def test_a_submodule_is_captured_with_the_inputs_it_gets():
    model = nn.Sequential(Around(lambda x: x * 2), Net(), Around(lambda x: x.tolist()))
    captured = capture(model, (X,), submodule="1")
    assert [v.type.shape for v in captured.graph.inputs] == [("batch", 3, 8, 8)]
    np.testing.assert_array_equal(captured.example[0], (X * 2).numpy())


def test_an_exported_program_is_read_as_it_is():
    batch = {0: torch.export.Dim("batch")}
    net = Net().eval()
    program = torch.export.export(net, (torch.randn(2, 3, 8, 8),), dynamic_shapes=(batch,))
    captured = capture(program.module(check_guards=False), (X,))
    assert captured.dynamic
    assert [node.origin.module for node in captured.graph.nodes] == ["conv", "norm", ""]


# -- what a person is told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ((torch.randn(1, 4, 8, 8),), "expected input"),
        ((X, X), "takes 2 positional arguments"),
        ((), "missing 1 required positional argument"),
        ((X.double(),), "double"),
    ],
)
def test_wrong_inputs_are_told_apart_from_models_that_cannot_be_captured(inputs, what):
    with pytest.raises(UsageError, match=r"Net does not run on the example inputs") as raised:
        capture(Net(), inputs)
    assert what in raised.value.message
    assert "check the number, the shapes and the types" in raised.value.hint


@pytest.mark.parametrize("inputs", [(X, X), (), (torch.randn(2, 3, 8, 9),)])
def test_an_exported_program_takes_the_inputs_it_was_exported_with(inputs):
    program = torch.export.export(Net().eval(), (torch.randn(2, 3, 8, 8),))
    with pytest.raises(UsageError, match=r"the model takes \(f32\[2, 3, 8, 8\]\), the example"):
        capture(program.module(check_guards=False), inputs)


def test_a_model_that_cannot_be_captured_names_the_line():
    def forward(x):
        return x + 1 if x.sum() > 0 else x - 1  # this line

    with pytest.raises(SparqcError, match=r"test_capture.py:\d+: torch.export cannot") as raised:
        capture(Around(forward), (X,))
    line = forward.__code__.co_firstlineno + 1
    assert f"test_capture.py:{line}: " in raised.value.message
    assert "--submodule" in raised.value.hint


def test_a_model_that_keeps_state_is_refused():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            return x * self.calls

    with pytest.raises(SparqcError, match=r"test_capture.py:\d+: .*changes calls in place"):
        capture(Counter(), (X,))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_weights_are_named(value):
    net = Net()
    with torch.no_grad():
        net.conv.weight[0, 0, 0, 0] = value
    with pytest.raises(SparqcError, match=r"parameter conv.weight has 1 numbers of 108"):
        capture(net, (X,))


def test_statistics_that_are_not_numbers_are_named():
    net = Net()
    net.norm.running_mean[1] = float("nan")
    with pytest.raises(SparqcError, match=r"buffer norm.running_mean has 1 numbers of 4"):
        capture(net, (X,))


def test_an_infinite_mask_is_no_broken_weight():
    net = Net()
    net.register_buffer("mask", torch.full((2,), float("-inf")))
    assert capture(net, (X,)).dynamic


def test_batch_norm_without_running_statistics_is_refused():
    net = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    with pytest.raises(
        SparqcError, match=r"BatchNorm 'batch_norm \(0\)' uses the statistics of the batch"
    ):
        capture(net, (X,))


def test_an_unknown_submodule_is_answered_with_the_closest():
    with pytest.raises(UsageError, match=r"no submodule 'cnov'") as raised:
        capture(Net(), (X,), submodule="cnov")
    assert "conv" in raised.value.hint


def test_a_submodule_that_does_not_run_is_refused():
    net = Net()
    net.unused = nn.Linear(2, 2)
    with pytest.raises(UsageError, match=r"'unused' is not called"):
        capture(net, (X,), submodule="unused")

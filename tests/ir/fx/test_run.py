"""Running FX graphs: outputs, values inside, and sentences for what does not fit."""

import numpy as np
import pytest
import torch
from torch import nn

from sparqc.capture.capture import capture
from sparqc.errors import SparqcError
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()


@pytest.fixture(scope="module")
def model():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(2))


@pytest.fixture(scope="module")
def graph(model):
    model(torch.randn(1, 3, 8, 8))
    return capture(model, (torch.randn(2, 3, 8, 8),)).graph


def test_outputs_and_observed_values(model, graph):
    x = torch.randn(4, 3, 8, 8)
    conv, relu = graph.value("conv"), graph.value("relu")
    runner = open_runner(graph, TABLE)
    (output,), seen = runner.run([x.numpy()], [conv, relu, graph.inputs[0], graph.value("0.bias")])
    with torch.no_grad():
        before = model[0](x)
        np.testing.assert_array_equal(output, model(x).numpy())
    np.testing.assert_array_equal(seen[0], before.numpy())
    np.testing.assert_array_equal(seen[1], before.relu().numpy())
    np.testing.assert_array_equal(seen[2], x.numpy())
    np.testing.assert_array_equal(seen[3], model[0].bias.detach().numpy())


def test_the_input_array_is_not_changed(graph):
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    copy = x.copy()
    open_runner(graph, TABLE).run([x])
    np.testing.assert_array_equal(x, copy)


def test_a_missing_input_is_an_error(graph):
    with pytest.raises(SparqcError, match="the model takes 1 inputs, the batch has 0"):
        open_runner(graph, TABLE).run([])


def test_a_wrong_shape_names_the_operator(graph):
    with pytest.raises(SparqcError, match=r"%conv: aten.conv2d.default fails on \[1, 4, 8, 8\]"):
        open_runner(graph, TABLE).run([np.zeros((1, 4, 8, 8), np.float32)])

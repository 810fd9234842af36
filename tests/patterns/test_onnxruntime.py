"""A target that is pattern files alone: what they predict is what onnxruntime's CPU kernels are."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

import sparqc
from tests.agreement.onnxruntime_kernels import compare, optimized, options
from tests.agreement.onnxruntime_networks import NETWORKS
from tests.zoo.test_targets import Net


def compiled(name):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    net, x = make().eval(), torch.randn(shape)
    done = sparqc.compile(net, (x,), target="onnxruntime", passes="int8", calibration=lambda: [[x]])
    return net, x, done.model


@pytest.mark.parametrize("name", NETWORKS)
def test_the_operators_that_run_in_int8_are_those_that_are_predicted(name):
    found = compare(compiled(name)[2])
    assert found.built == found.predicted
    assert found.built <= found.operators
    assert found.built


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("residual", "QLinearConv"),
        ("sum of three", "QLinearAdd"),
        ("product", "QLinearMul"),
        ("concat", "QLinearConcat"),
        ("average pool", "QLinearAveragePool"),
        ("global average pool", "QLinearGlobalAveragePool"),
        ("sigmoid", "QLinearSigmoid"),
        ("leaky relu", "QLinearLeakyRelu"),
        ("softmax", "QLinearSoftmax"),
        ("matrices", "QGemm"),
        ("stacks", "MatMulIntegerToFloat"),
        ("stacks without a bias", "QLinearMatMul"),
    ],
)
def test_the_networks_make_each_of_its_kernels(name, kernel):
    assert kernel in {node.op_type for node in optimized(compiled(name)[2]).graph.node}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_it_computes_is_near_the_network(name):
    net, x, model = compiled(name)
    run = ort.InferenceSession(
        model.SerializeToString(), options(), providers=["CPUExecutionProvider"]
    )
    (got,) = run.run(None, {run.get_inputs()[0].name: x.numpy()})
    want = net(x).detach().numpy()
    assert np.linalg.norm(got - want) < 0.05 * np.linalg.norm(want)


def test_the_default_preset_prunes_nothing_for_it():
    torch.manual_seed(0)
    x = torch.randn(2, 16, 8, 8)
    net = Net().eval()
    done = sparqc.compile(net, (x,), target="onnxruntime", calibration=lambda: [[x]])
    dense = sparqc.compile(
        net, (x,), target="onnxruntime", passes="int8", calibration=lambda: [[x]]
    )
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in done.model.graph.initializer}
    for w in dense.model.graph.initializer:
        assert np.array_equal(weights[w.name], onnx.numpy_helper.to_array(w))

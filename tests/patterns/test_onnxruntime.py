"""A target that is pattern files alone: what they predict is what onnxruntime's CPU kernels are."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

import sparqc
from sparqc.tools.explain.prediction import predict
from tests.zoo.test_targets import Net

#: The kernels that read and write codes, by the declaration that stands for them.
KERNELS = {
    "QLinearConv": "qlinear_conv",
    "QGemm": "qgemm",
    "QLinearAdd": "qlinear_add",
    "QLinearMul": "qlinear_add",
    "QLinearAveragePool": "qlinear_pool",
    "QLinearGlobalAveragePool": "qlinear_pool",
}


class Wide(nn.Module):
    """A chain with a depthwise convolution whose result has two readers, and a pool."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.depthwise = nn.Conv2d(16, 16, 3, groups=16)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        y = torch.max_pool2d(torch.relu(self.first(x)), 2)
        y = nn.functional.silu(self.depthwise(y))
        return self.head(y.mean((2, 3)))


class Sum(nn.Module):
    """Two bare convolutions that are added up for a third."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(16, 16, 3, padding=1) for _ in range(3))

    def forward(self, x):
        return torch.relu(self.c(self.a(x) + self.b(x)))


class Layers(nn.Module):
    """A stack of matrix products, the last of which is the result."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(32, 32) for _ in range(3))

    def forward(self, x):
        return self.c(torch.relu(self.b(self.a(x))))


class Pooled(nn.Module):
    """An average pool between convolutions, and a reshape behind them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        y = self.b(nn.functional.avg_pool2d(self.a(x), 2))
        return self.head(torch.max_pool2d(y, 2).flatten(1))


NETWORKS = {
    "residual": (Net, (2, 16, 8, 8)),
    "wide": (Wide, (2, 3, 20, 20)),
    "sum": (Sum, (2, 16, 8, 8)),
    "layers": (Layers, (4, 32)),
    "pooled": (Pooled, (2, 16, 14, 14)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def compiled(request):
    torch.manual_seed(0)
    make, shape = NETWORKS[request.param]
    net, x = make().eval(), torch.randn(shape)
    done = sparqc.compile(net, (x,), target="onnxruntime", passes="int8", calibration=lambda: [[x]])
    return net, x, done.model


def session(model, optimized):
    """A session that takes signed codes, which onnxruntime does by itself on ARM alone."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(optimized)
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def test_the_engine_has_the_kernels_that_are_predicted(compiled, tmp_path):
    _, _, model = compiled
    session(model, tmp_path / "optimized.onnx")
    built = Counter(
        KERNELS[node.op_type]
        for node in onnx.load(tmp_path / "optimized.onnx").graph.node
        if node.op_type in KERNELS
    )
    kernels = predict(model, "onnxruntime").kernels
    predicted = Counter(k.kind for k in kernels if k.int8 and k.kind in KERNELS.values())
    assert built == predicted
    assert built


def test_what_it_computes_is_near_the_network(compiled, tmp_path):
    net, x, model = compiled
    run = session(model, tmp_path / "optimized.onnx")
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

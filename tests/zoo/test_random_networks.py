"""Random networks, compiled whole: nothing fails, and every promise of the file is held."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

import sparqc
from sparqc import api
from sparqc.ir.levels.execute import open_runner
from sparqc.passes.check.finding import Findings
from sparqc.passes.masks.pruning import Pruning
from sparqc.pipeline import run as pipeline
from tests.zoo.random_networks import RandomNet
from tests.zoo.structure import Structure

SEEDS = range(9)
TARGETS = ("tensorrt-11", "tensorrt-8.6")
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def compiled(net, passes, target):
    return sparqc.compile(net, (net.x,), random_calibration=True, target=target, passes=passes)


def outputs_of(model, x):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})


def torch_outputs(net, x):
    with torch.no_grad():
        given = net(x)
    return [y.numpy() for y in (given if isinstance(given, tuple) else (given,))]


def decibel(expected, actual):
    """The ratio of signal to noise."""
    noise = np.square(np.asarray(expected, np.float64) - actual).sum()
    return 10 * np.log10(np.square(expected, dtype=np.float64).sum() / max(noise, 1e-30))


def attribute(node, name):
    return next((a.i for a in node.attribute if a.name == name), None)


class Promises:
    """What every compiled file keeps, read with onnx alone."""

    def __init__(self, model, facts):
        self.model, self.facts = model, facts
        self.graph = Structure(model)
        self.readers = {}
        for node in self.graph.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.outputs = [o.name for o in model.graph.output]

    def hold(self):
        onnx.checker.check_model(self.model, full_check=True)
        for node in self.graph.of("QuantizeLinear", "DequantizeLinear"):
            self.scale_is_sound(node)
        for node in self.graph.of("DequantizeLinear"):
            self.dequantizer_has_one_reader(node)
        for node in self.graph.of(*WEIGHTED):
            self.data_and_weight_agree(node)
        self.masks_hold()

    def scale_is_sound(self, node):
        scale = self.graph.constants[node.input[1]]
        assert np.isfinite(scale).all()
        assert (scale > np.finfo(np.float32).tiny).all()
        if len(node.input) > 2:
            assert not self.graph.constants[node.input[2]].any()
        elif node.op_type == "QuantizeLinear":  # without a zero point the type is uint8
            assert attribute(node, "output_dtype") == onnx.TensorProto.INT8
        if scale.ndim:
            axis = attribute(node, "axis")
            data = self.graph.constants.get(node.input[0])
            if data is None:
                data = self.graph.constants[self.graph.producer[node.input[0]].input[0]]
            assert axis is not None
            assert scale.shape == (data.shape[axis],)
            if data.dtype == np.int8:
                assert data.min() >= -127
            else:
                codes = np.abs(data) / np.expand_dims(
                    scale, [i for i in range(data.ndim) if i != axis]
                )
                assert codes.max() < 127.5

    def dequantizer_has_one_reader(self, node):
        name = node.output[0]
        assert name not in self.outputs
        readers = self.readers[name]  # once for each slot
        assert readers and all(reader is readers[0] for reader in readers)
        if readers[0].op_type == "QuantizeLinear":
            ours, theirs = (self.graph.constants[n.input[1]] for n in (node, readers[0]))
            np.testing.assert_array_equal(ours, theirs)

    def data_and_weight_agree(self, node):
        data, weight = (self.graph.is_dequantized(name) for name in node.input[:2])
        assert data == weight

    def masks_hold(self):
        sparse = [n for n in self.graph.of("Conv", "Gemm", "MatMul") if self.is_two_four(n)]
        assert len(sparse) >= len(self.facts.get(Pruning, Pruning()).masks)

    def is_two_four(self, node):
        codes = self.graph.codes(node)
        if codes is None and self.graph.is_dequantized(node.input[1]):
            quantize = self.graph.producer[self.graph.producer[node.input[1]].input[0]]
            codes = self.graph.constants[quantize.input[0]]
        if codes is None:
            return False
        axis = {"Conv": 1, "Gemm": 0, "MatMul": -2}[node.op_type]
        if node.op_type == "Gemm" and attribute(node, "transB"):
            axis = 1
        rows = np.moveaxis(codes, axis, -1)
        if rows.shape[-1] % 4:
            return False
        return bool(((rows.reshape(-1, 4) != 0).sum(1) <= 2).all())


def calibrated(net, passes, target):
    """The FX graph behind calibration, run on the example input: the fake-quantized reference."""
    options = api.make_options(passes=passes, target=target, random_calibration=True)
    job = api.new_job(net, (net.x,), options=options)
    job.context.reference = job.graph.clone()
    steps = [str(s) for s in job.pipeline.steps]
    head = pipeline.parse(", ".join(steps[: steps.index("export")]))
    graph = pipeline.run(head, job.graph, job.context)
    return open_runner(graph, job.context.table)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_float_file_computes_what_the_module_does(seed):
    net = RandomNet(seed)
    x = torch.randn(3, *net.x.shape[1:])
    model = compiled(net, "float", TARGETS[seed % 2]).model
    for expected, actual in zip(torch_outputs(net, x), outputs_of(model, x), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("passes", ["all-sparse", "int8"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_of_a_compiled_file(seed, passes):
    net = RandomNet(seed)
    target = TARGETS[seed % 2]
    done = compiled(net, passes, target)
    assert [f for f in done.context.facts[Findings].findings if f.grade != "note"] == []
    Promises(done.model, done.context.facts).hold()
    if passes == "all-sparse":
        again = compiled(RandomNet(seed), passes, target)
        assert again.model.SerializeToString() == done.model.SerializeToString()
    x = torch.randn(3, *net.x.shape[1:])
    fake, _ = calibrated(net, passes, target).run([x.numpy()])
    expected, actual = torch_outputs(net, x), outputs_of(done.model, x)
    for a, b, c in zip(expected, fake, actual, strict=True):
        assert decibel(b, c) > 30  # the same codes but for rounding at ties
        if passes == "int8":
            assert decibel(a, c) > 10

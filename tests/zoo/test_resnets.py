"""ResNets: every convolution and the classifier in INT8, one bare input at each residual Add."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
import torchvision.models as zoo

import sparqc
from sparqc.tools.engine.rtx import compile_rtx
from tests.zoo.structure import Structure

SIZE = 64  # pixels; the structure does not depend on it


def compile_resnet(name, **options):
    torch.manual_seed(0)
    net = getattr(zoo, name)(weights=None).eval()
    x = torch.randn(2, 3, SIZE, SIZE)
    return net, sparqc.compile(net, (x,), random_calibration=True, **options)


@pytest.fixture(scope="module", params=["resnet18", "resnet34", "resnet50"])
def resnet(request):
    """A compiled ResNet; no test changes it."""
    return request.param, *compile_resnet(request.param, target="tensorrt-rtx", passes="all-sparse")


def test_every_weighted_operator_runs_in_int8(resnet):
    _, _, compiled = resnet
    assert Structure(compiled.model).in_float() == []


def test_no_batch_norm_is_left(resnet):
    _, _, compiled = resnet
    assert Structure(compiled.model).operators()["BatchNormalization"] == 0


def test_each_residual_add_has_exactly_one_dequantized_input(resnet):
    name, _, compiled = resnet
    structure = Structure(compiled.model)
    adds = list(structure.of("Add"))
    assert len(adds) == {"resnet18": 8, "resnet34": 16, "resnet50": 16}[name]
    assert [structure.dequantized_inputs(add) for add in adds] == [1] * len(adds)


def test_every_eligible_weight_is_two_four_on_its_codes(resnet):
    _, _, compiled = resnet
    structure = Structure(compiled.model)
    dense = [
        node.name
        for node in structure.of("Conv", "Gemm")
        if (shape := structure.codes(node).shape)[1] % 16 == 0
        and shape[0] % 8 == 0
        and not structure.is_two_four(node)
    ]
    assert dense == []
    stem = next(structure.of("Conv"))
    assert not structure.is_two_four(stem)  # three channels make no groups of four


def test_every_reader_has_a_dequantizer_of_its_own(resnet):
    _, _, compiled = resnet
    structure = Structure(compiled.model)
    reads = [name for node in structure.nodes for name in node.input]
    assert all(reads.count(node.output[0]) == 1 for node in structure.of("DequantizeLinear"))


def test_weights_carry_their_axis_and_int8_codes(resnet):
    _, _, compiled = resnet
    structure = Structure(compiled.model)
    for node in structure.of("Conv", "Gemm"):
        dequantize = structure.producer[node.input[1]]
        assert {a.name: a.i for a in dequantize.attribute}["axis"] == 0
        assert structure.codes(node).dtype == np.int8
        assert structure.codes(node).min() >= -127


def test_the_batch_stays_dynamic(resnet):
    _, net, compiled = resnet
    session = ort.InferenceSession(compiled.model.SerializeToString())
    x = torch.randn(5, 3, SIZE, SIZE)
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert y.shape == tuple(net(x).shape) == (5, 1000)


def test_the_compiler_takes_it_in_int8_throughout(resnet):
    _, _, compiled = resnet
    report = compile_rtx(compiled.model)
    assert report.accepted, report.errors
    assert report.float_nodes == []


def test_a_second_run_gives_the_same_bytes():
    first, second = (compile_resnet("resnet18")[1].model.SerializeToString() for _ in range(2))
    assert first == second

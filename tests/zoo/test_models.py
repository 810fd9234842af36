"""Whole networks of other kinds: they compile, the compiler takes them, and the numbers hold."""

import pytest
import torch
import torchvision.models as zoo
from zoo.structure import Structure

import sparqc
from sparqc.tools.rtx import compile_rtx

#: model -> (image size, the most weighted operators that may stay in float)
MODELS = {
    "mobilenet_v2": (64, 0),
    "vgg16_bn": (64, 0),
    "densenet121": (64, 0),
    "efficientnet_b0": (64, 16),
    "vit_b_16": (224, 24),
    "convnext_tiny": (64, 0),
}


@pytest.fixture(scope="module", params=MODELS)
def compiled(request):
    """A compiled network with seeded weights, and how many operators may stay in float."""
    torch.manual_seed(0)
    net = getattr(zoo, request.param)(weights=None).eval()
    size, floats = MODELS[request.param]
    x = torch.randn(2, 3, size, size)
    return sparqc.compile(net, (x,), random_calibration=True, target="tensorrt-rtx"), floats


def test_the_compiler_takes_it(compiled):
    result, _ = compiled
    report = compile_rtx(result.model)
    assert report.accepted, report.errors


def test_it_runs_in_int8_but_for_what_the_rules_leave_out(compiled):
    result, floats = compiled
    assert len(Structure(result.model).in_float()) <= floats


def test_no_finding_is_an_error(compiled):
    result, _ = compiled
    assert [f for f in result.context.facts["check"] if f.grade == "error"] == []


def test_sparse_layers_are_two_four_in_the_file(compiled):
    result, _ = compiled
    structure = Structure(result.model)
    masked = len(result.context.facts["prune"])
    held = sum(structure.is_two_four(n) for n in structure.of("Conv", "Gemm", "MatMul"))
    assert masked > 0
    assert held >= masked

"""Whole networks of torchvision: read and written again, they give the same bits, at any batch."""

import pytest
import torch
from torch.utils import _pytree as pytree
from torchvision import models
from torchvision.models import segmentation

from sparqc.capture import capture
from sparqc.ir.fx import write_fx
from sparqc.ir.table import default_table

TABLE = default_table()

#: Sizes as small as the networks take; one of each family that differs in its operators.
NETWORKS = {
    "resnet18": 32, "mobilenet_v3_small": 32, "vgg11_bn": 32, "squeezenet1_1": 32,
    "efficientnet_b0": 32, "shufflenet_v2_x0_5": 32, "googlenet": 64, "regnet_y_400mf": 32,
    "vit_b_16": 224, "convnext_tiny": 32, "swin_t": 32, "lraspp_mobilenet_v3_large": 32,
}  # fmt: skip


def network(name):
    torch.manual_seed(0)
    if hasattr(segmentation, name):
        return getattr(segmentation, name)(weights=None, weights_backbone=None).eval()
    options = {"init_weights": False} if name == "googlenet" else {}
    return getattr(models, name)(weights=None, **options).eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_reading_and_writing_keeps_every_bit(name):
    model, size = network(name), NETWORKS[name]
    captured = capture(model, (torch.randn(1, 3, size, size),), name=name)
    assert captured.dynamic and not captured.notes
    captured.graph.verify()
    assert {node.op for node in captured.graph.nodes} <= set(TABLE.names)
    written, x = write_fx(captured.graph, TABLE), torch.randn(3, 3, size, size)
    written.graph.lint()
    with torch.no_grad():
        expected, actual = model(x), written(x)
    assert type(actual) is type(expected)
    pairs = zip(pytree.tree_leaves(actual), pytree.tree_leaves(expected), strict=True)
    assert all(torch.equal(a, e) for a, e in pairs)

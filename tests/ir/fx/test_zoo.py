"""Whole networks of torchvision: read and written again, they give the same bits, at any batch."""

import pytest
import torch
from torch.utils import _pytree as pytree
from torchvision import models
from torchvision.models import segmentation, swin_transformer

from sparqc.capture.capture import capture
from sparqc.ir.fx.adapter import write_fx
from sparqc.ir.vocabulary.table import default_table

TABLE = default_table()


def vision_transformer():
    return models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=10)


def swin(block):
    return lambda: models.SwinTransformer([4, 4], 16, [2, 2], [2, 2], [3, 3], block=block)


def segmenter():
    return segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)


#: One of each family that differs in its operators, as small as it goes.
NETWORKS = {
    "resnet": models.resnet18,
    "mobilenet_v3": models.mobilenet_v3_small,
    "efficientnet": models.efficientnet_b0,
    "shufflenet": models.shufflenet_v2_x0_5,
    "squeezenet": models.squeezenet1_1,
    "convnext": models.convnext_tiny,
    "vision transformer": vision_transformer,
    "swin": swin(swin_transformer.SwinTransformerBlock),
    "swin v2": swin(swin_transformer.SwinTransformerBlockV2),
    "segmentation": segmenter,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_reading_and_writing_keeps_every_bit(name):
    model = NETWORKS[name]().eval()
    captured = capture(model, (torch.randn(1, 3, 32, 32),), name=name)
    assert captured.dynamic and not captured.notes
    captured.graph.verify()
    assert {node.op for node in captured.graph.nodes} <= set(TABLE.names)
    written, x = write_fx(captured.graph, TABLE), torch.randn(3, 3, 32, 32)
    written.graph.lint()
    with torch.no_grad():
        expected, actual = model(x), written(x)
    assert type(actual) is type(expected)
    pairs = zip(pytree.tree_leaves(actual), pytree.tree_leaves(expected), strict=True)
    assert all(torch.equal(a, e) for a, e in pairs)

"""Which witness a layer is told to be like."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparqc.declared.gpus import gpu
from sparqc.predict.layer_shape import LayerShape
from sparqc.predict.likeness import likenesses, nearest
from sparqc.predict.witness import SeenKernel
from sparqc.predict.witnesses import witness, witnesses
from sparqc.tools.explain.prediction import predict
from tests.engine_models import quantized_matmul, residual_block

PUBLIC = tuple(witnesses().values())
UNET = witness("unet-resnet34-int8")
#: A 3x3 with 64 channels, as seven of the UNet without an Add.
LAYER = LayerShape("conv", 64, 64, 131072, (3, 3), (1, 1))


def test_layers_like_one_are_counted_with_their_gain() -> None:
    found = nearest(LAYER, "i8", PUBLIC)
    assert found is not None and found.witness == UNET
    assert (found.sparse, len(found.kernels)) == (7, 7)
    assert found.text == (
        "sparse ran in 7 of 7 such layers, 0.82 to 1.33 times faster: unet-resnet34-int8 "
        "(A100 PCIe 40 GB, TensorRT 10.16, UNet (ResNet-34), 256x256: the encoder)"
    )
    assert found.to_json()["witness"] == "unet-resnet34-int8"


def test_the_type_decides() -> None:
    found = nearest(LAYER, "f16", PUBLIC)
    assert found is not None and found.witness.name == "unet-resnet34-fp16"
    assert nearest(LAYER, "f32", PUBLIC) is None


@pytest.mark.parametrize(
    "other",
    [
        {"operator": "matmul"}, {"kernel": (5, 5)}, {"stride": (4, 4)}, {"groups": 2}, {"k": 16},
        {"c": 16}, {"rows": 500}, {"rows": 10**7},
    ],
)  # fmt: skip
def test_what_is_otherwise_is_not_alike(other: dict[str, object]) -> None:
    assert nearest(replace(LAYER, **other), "i8", PUBLIC) is None  # type: ignore[arg-type]


def test_an_add_and_a_stride_are_other_layers() -> None:
    down = LayerShape("conv", 256, 128, 8192, (1, 1), (2, 2), adds=True)
    found = nearest(down, "i8", PUBLIC)
    assert found is not None and (found.sparse, len(found.kernels)) == (0, 3)
    assert nearest(replace(down, adds=False), "i8", PUBLIC) is None


def test_layers_of_which_nothing_was_seen_do_not_count() -> None:
    open_ = tuple(replace(k, sparse=None) for k in UNET.kernels)
    dense = tuple(replace(k, eligible=False, sparse=None) for k in UNET.kernels)
    for kernels in (open_, dense):
        assert nearest(LAYER, "i8", [replace(UNET, kernels=kernels)]) is None


def test_the_generation_that_was_asked_for_comes_first() -> None:
    few = SeenKernel("conv", 64, 64, 131072, "int8", (3, 3), (1, 1), eligible=True, sparse=False)
    a40 = replace(UNET, gpu=gpu("a40"), kernels=(few,))
    asked = [gpu("rtx-3090").generation]
    found = nearest(LAYER, "i8", [UNET, a40], asked)
    assert found is not None and (found.witness, found.sparse, found.other_than) == (a40, 0, "")
    found = nearest(LAYER, "i8", [UNET], asked)
    assert found is not None and found.text.endswith("; no witness of Ampere GA102")


def test_each_weighted_operator_gets_its_own() -> None:
    engine = predict(residual_block(True), batch=512)
    found = likenesses(engine, PUBLIC)
    assert {len(like.kernels) for like in found.values()} == {6, 7}  # with an Add and without
    assert [row.sizes and row.sizes.adds for row in engine.ledger] == [False, True, False]


def test_a_matrix_product_has_rows_too() -> None:
    (row,) = predict(quantized_matmul(1), batch=16).ledger
    assert row.sizes == LayerShape("matmul", 32, 64, 16)

"""Which layers of a real engine ran sparse: 36 convolutions, each in INT8 and in FP16.

The witnesses `unet-resnet34-int8` and `unet-resnet34-fp16`, layer by layer.
"""

from dataclasses import dataclass
from math import isqrt

from sparqc.predict.witnesses import SeenKernel, witness

INT8, FP16 = witness("unet-resnet34-int8"), witness("unet-resnet34-fp16")
BATCH = INT8.head.batch

#: K, C, kernel, stride, side of the output, and whether it adds a skip connection.
Shape = tuple[int, int, int, int, int, bool]
#: The layers that FP16 ran sparse though memory is all that they wait for: they gained 2 us.
GAINED_2_US: set[Shape] = {(256, 128, 1, 2, 16, True), (512, 256, 1, 2, 8, True)}


@dataclass(frozen=True)
class Layer:
    """A convolution of both engines: what the choice may depend on, and which ran sparse."""

    shape: Shape
    int8_sparse: bool
    fp16_sparse: bool


def _shape(seen: SeenKernel) -> Shape:
    side = isqrt(seen.rows // BATCH)
    return seen.k, seen.c, seen.kernel[0], seen.stride[0], side, seen.sizes.adds


def _layer(int8: SeenKernel, fp16: SeenKernel) -> Layer:
    assert int8.sizes == fp16.sizes
    return Layer(_shape(int8), int8.sparse is True, fp16.sparse is True)


LAYERS = tuple(map(_layer, INT8.kernels, FP16.kernels))

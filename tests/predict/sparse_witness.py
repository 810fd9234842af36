"""Which layers of a real engine ran sparse: 36 convolutions, each in INT8 and in FP16.

The encoder of a UNet with ResNet-34, images of 256x256, batch 32, on an A100 PCIe 40 GB with
TensorRT 10.16 (`--fp16 --int8 --sparsity=enable`, calibrated, every weight 2:4).  Source:
WoodieDudy/unet-infer-optimization, read off its drawings of the engines.
"""

from dataclasses import dataclass

BATCH = 32

# Layer, K, C, kernel, stride, side of the output, what the epilogue adds; then for INT8 and FP16
# whether the builder chose a sparse kernel, and the microseconds in the dense and sparse engine.
_LAYERS = """
conv1            64   3 7 2 128 -    0 72.7 71.2  0 216.7 207.0
layer1.0.conv1   64  64 3 1  64 -    1 33.7 27.8  1  81.8  72.5
layer1.0.conv2   64  64 3 1  64 add  1 38.4 31.0  0  95.2  92.2
layer1.1.conv1   64  64 3 1  64 -    1 33.8 25.5  1  81.1  68.7
layer1.1.conv2   64  64 3 1  64 add  1 36.5 30.5  0  95.0  90.1
layer1.2.conv1   64  64 3 1  64 -    1 33.1 25.6  1  81.7  74.1
layer1.2.conv2   64  64 3 1  64 add  1 36.8 31.0  0  90.7  84.0
layer2.0.conv1  128  64 3 2  32 -    1 30.4 26.0  1  44.2  39.0
layer2.0.conv2  128 128 3 1  32 -    1 38.5 46.9  1  63.8  48.7
layer2.0.down   128  64 1 2  32 add  0 18.4 18.2  0  21.0  20.4
layer2.1.conv1  128 128 3 1  32 -    1 32.9 25.5  1  64.3  49.1
layer2.1.conv2  128 128 3 1  32 add  1 32.6 26.7  1  64.7  52.9
layer2.2.conv1  128 128 3 1  32 -    1 31.4 24.5  1  64.1  49.7
layer2.2.conv2  128 128 3 1  32 add  1 32.6 26.9  1  64.9  53.4
layer2.3.conv1  128 128 3 1  32 -    1 32.7 24.7  1  64.1  49.1
layer2.3.conv2  128 128 3 1  32 add  1 31.8 26.8  1  64.9  53.3
layer3.0.conv1  256 128 3 2  16 -    1 24.3 26.8  1  45.8  30.5
layer3.0.conv2  256 256 3 1  16 -    1 35.5 30.0  1  66.9  47.7
layer3.0.down   256 128 1 2  16 add  0 15.7 15.5  1  19.0  16.8
layer3.1.conv1  256 256 3 1  16 -    1 33.7 26.3  1  67.2  48.1
layer3.1.conv2  256 256 3 1  16 add  1 33.4 27.3  1  67.7  50.6
layer3.2.conv1  256 256 3 1  16 -    1 32.9 25.9  1  66.5  47.9
layer3.2.conv2  256 256 3 1  16 add  1 34.0 28.2  1  67.4  51.1
layer3.3.conv1  256 256 3 1  16 -    1 32.7 25.1  1  66.0  48.0
layer3.3.conv2  256 256 3 1  16 add  1 33.1 27.2  1  67.2  50.8
layer3.4.conv1  256 256 3 1  16 -    1 32.8 25.5  1  65.9  47.8
layer3.4.conv2  256 256 3 1  16 add  1 33.6 27.2  1  67.9  50.6
layer3.5.conv1  256 256 3 1  16 -    1 32.8 25.6  1  66.6  48.0
layer3.5.conv2  256 256 3 1  16 add  1 33.6 27.5  1  67.6  51.0
layer4.0.conv1  512 256 3 2   8 -    0 26.4 27.5  1  44.9  37.3
layer4.0.conv2  512 512 3 1   8 -    1 43.0 43.3  1  73.7  60.8
layer4.0.down   512 256 1 2   8 add  0 13.7 13.6  1  17.7  15.8
layer4.1.conv1  512 512 3 1   8 -    1 41.1 34.6  1  73.9  61.8
layer4.1.conv2  512 512 3 1   8 add  0 41.5 44.0  1  73.5  61.8
layer4.2.conv1  512 512 3 1   8 -    1 42.0 35.2  1  72.4  61.9
layer4.2.conv2  512 512 3 1   8 add  0 42.8 41.5  1  74.2  61.6
"""


@dataclass(frozen=True)
class Layer:
    """A convolution of the engine; times in microseconds, dense and sparse."""

    name: str
    k: int
    c: int
    kernel: int
    stride: int
    side: int
    adds: bool
    int8_sparse: bool
    int8_times: tuple[float, float]
    fp16_sparse: bool
    fp16_times: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int, int, int, int, bool]:
        """What the choice may depend on."""
        return self.k, self.c, self.kernel, self.stride, self.side, self.adds


def _layer(line: str) -> Layer:
    name, k, c, kernel, stride, side, adds, *seen = line.split()
    shape = (int(k), int(c), int(kernel), int(stride), int(side), adds == "add")
    int8, dense8, sparse8, fp16, dense16, sparse16 = map(float, seen)
    return Layer(name, *shape, int8 == 1, (dense8, sparse8), fp16 == 1, (dense16, sparse16))


LAYERS = tuple(map(_layer, _LAYERS.split("\n")[1:-1]))

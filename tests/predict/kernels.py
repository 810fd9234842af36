"""A GPU with round figures, and kernels for it, for the tests of times."""

from dataclasses import replace

from sparqc.declared.gpus import Constants, Generation, Gpu
from sparqc.predict.engine import PredictedKernel, Tensor

#: Kernels begin at once, reach half of the peaks and of the bandwidth, and pad nothing.
EVEN = Constants(
    "even.constants", witnesses=(), off="unknown", launch=1e-9, int8=0.5, floats=0.5,
    int8_sparse=0.5, floats_sparse=0.5, bandwidth=0.5, int8_channels=1, fp16_channels=1, tile=1,
)  # fmt: skip
#: 2 * 10^12 operations a second in INT8, 1 in FP16, 0.5 in FP32; 1 GB/s.
SIMPLE = Gpu(
    "simple", "", Generation("even", "Even", 0.5, 1, 2, EVEN),
    sms=1, clock=1000, bandwidth=1, l2=1, source="none",
)  # fmt: skip


def with_constants(**changes):
    """The GPU with other constants."""
    generation = SIMPLE.generation
    return replace(SIMPLE, generation=replace(generation, constants=replace(EVEN, **changes)))


def kernel(**changes):
    """10^9 multiply-adds in INT8, and 3 MB of traffic."""
    made = PredictedKernel(
        name="y", kind="conv_act", operators=("nn.conv",), values=("y",), int8=True,
        inputs=(Tensor("x", "i8", (1000, 1000)),), outputs=(Tensor("y", "i8", (1000, 1000)),),
        weights=(Tensor("w", "i8", (1000, 1000)),), macs=10**9, sparse=True, sparse_pays=True,
    )  # fmt: skip
    return replace(made, **changes)

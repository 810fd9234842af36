"""Predicted times of whole networks beside those that were measured in public.

    python benchmarks/engines/times.py

Nothing is timed here: the measured figures are those of the sources named below, and the predicted
ones what `sparqc explain` says of the same network.  The constants of the prediction
(`patterns/tensorrt/gpus.toml`) were fitted to single layers of the UNet's encoder (`fit.py`), never
to one of these figures, except for the sparse ones of GA102, which rest on the gain of ResNet-34.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from networks import RESNET18, RESNET34, Quantizers, resnet, unet
from onnx import ModelProto

from sparqc.predict.gpus import gpu
from sparqc.predict.roofline import Times, estimate
from sparqc.tools.explain.prediction import predict


@dataclass(frozen=True)
class Case:
    """One engine that was timed: milliseconds for a batch."""

    name: str
    network: Callable[[], ModelProto]
    target: str
    gpu: str
    batch: int
    measured: float
    #: Whether the engine was built with --sparsity=enable.
    sparse: bool = False


@dataclass(frozen=True)
class Gain:
    """How many times faster a network was with 2:4 kernels than without."""

    name: str
    network: Callable[[], ModelProto]
    target: str
    gpu: str
    batch: int
    measured: float


ALL, A100_80, A100_40 = Quantizers(), "a100-pcie-80gb", "a100-pcie-40gb"

#: ResNet-18: NVIDIA's TensorRT repository, samples of trt-engine-explorer (TensorRT 8.4); in FP32
#: the builder had no FP16, as for a network that is strongly typed.  UNet: WoodieDudy's
#: unet-infer-optimization (TensorRT 10.16, FP16 allowed).
CASES = (
    Case("ResNet-18 FP32", partial(resnet, RESNET18), "tensorrt-11", A100_80, 32, 2.000),
    Case("ResNet-18 INT8, float skips", partial(resnet, RESNET18, Quantizers(False, False)),
         "tensorrt-8.6", A100_80, 32, 0.882),
    Case("ResNet-18 INT8, float pool", partial(resnet, RESNET18, Quantizers(True, False)),
         "tensorrt-8.6", A100_80, 32, 0.546),
    Case("ResNet-18 INT8", partial(resnet, RESNET18, ALL), "tensorrt-8.6", A100_80, 32, 0.500),
    Case("UNet INT8", partial(unet, ALL, sparse=True), "tensorrt-10", A100_40, 32, 2.96),
    Case("UNet INT8 2:4", partial(unet, ALL, sparse=True), "tensorrt-10", A100_40, 32, 2.69, True),
    Case("UNet FP16", partial(unet, sparse=True), "tensorrt-10", A100_40, 32, 5.09),
    Case("UNet FP16 2:4", partial(unet, sparse=True), "tensorrt-10", A100_40, 32, 4.51, True),
)  # fmt: skip

#: NVIDIA's blog on sparsity in INT8 (A40, TensorRT 8.6), and the UNet as above.
GAINS = (
    Gain("UNet INT8", partial(unet, ALL, sparse=True), "tensorrt-10", A100_40, 32, 1.10),
    Gain("UNet FP16", partial(unet, sparse=True), "tensorrt-10", A100_40, 32, 1.13),
    Gain("ResNet-34 INT8", partial(resnet, RESNET34, ALL, sparse=True),
         "tensorrt-8.6", "a40", 1, 1.20),
    Gain("ResNet-34 INT8", partial(resnet, RESNET34, ALL, sparse=True),
         "tensorrt-8.6", "a40", 2048, 1.40),
)  # fmt: skip


def times(case: Case | Gain) -> Times:
    """The predicted seconds."""
    return estimate(predict(case.network(), case.target, batch=case.batch), gpu(case.gpu)).about


def predicted(case: Case | Gain) -> float:
    """Milliseconds, or how many times faster."""
    found = times(case)
    if isinstance(case, Gain):
        return found.dense / found.sparse
    return 1e3 * (found.sparse if case.sparse else found.dense)


def off(case: Case | Gain) -> float:
    """How far the prediction lies from the measurement, as a share of it."""
    return predicted(case) / case.measured - 1


def main() -> None:
    """Print a table of each kind."""
    for title, rows in (("ms", CASES), ("gain from 2:4", GAINS)):
        print(f"{title:<29} {'GPU':<15} {'batch':>5} {'measured':>9} {'predicted':>9} {'off':>7}")
        for case in rows:
            found = predicted(case)
            share = 100 * (found / case.measured - 1)
            figures = f"{case.measured:>9.3f} {found:>9.3f} {share:>+6.1f}%"
            print(f"{case.name:<29} {case.gpu:<15} {case.batch:>5} {figures}")
        print()


if __name__ == "__main__":
    main()

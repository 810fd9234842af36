"""Predicted times of whole networks beside those that were measured in public.

    python benchmarks/engines/times.py

Nothing is timed here: the measured figures are those of witnesses (`sparqc witnesses`), and the
predicted ones what `sparqc explain` says of the same network.  The constants of the prediction
(`patterns/tensorrt/gpus.toml`) were fitted to single layers of the UNet's encoder (`fit.py`), never
to one of these figures, except for the sparse ones of GA102, which rest on the gain of ResNet-34.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from networks import RESNET18, RESNET34, Quantizers, resnet, unet
from onnx import ModelProto

from sparqc.declared.gpus import gpu
from sparqc.predict.roofline import Times, estimate
from sparqc.predict.witnesses import witness
from sparqc.tools.explain.prediction import predict


@dataclass(frozen=True)
class Case:
    """One engine that was timed."""

    name: str
    network: Callable[[], ModelProto]
    target: str
    gpu: str
    batch: int
    #: Milliseconds for a batch; of a gain, how many times faster it is with 2:4 kernels.
    measured: float
    #: Which kernels it was built with, or what one gains by the other.
    kernels: Literal["dense", "sparse", "gain"] = "dense"


ALL = Quantizers()


def case(
    name: str, network: Callable[[], ModelProto], target: str, seen: str, sparse: bool = False
) -> Case:
    """A case that a witness timed; `sparse`: with sparse kernels."""
    head = witness(seen).head
    measured, kernels = (head.sparse_us, "sparse") if sparse else (head.dense_us, "dense")
    assert measured is not None
    return Case(name, network, target, head.gpu, head.batch, measured / 1e3, kernels)


def gain(name: str, network: Callable[[], ModelProto], target: str, seen: str) -> Case:
    """A gain that a witness saw."""
    head = witness(seen).head
    measured = head.gain
    if head.dense_us is not None and head.sparse_us is not None:
        measured = head.dense_us / head.sparse_us
    assert measured is not None
    return Case(name, network, target, head.gpu, head.batch, measured, "gain")


#: In FP32 the builder of ResNet-18 had no FP16, as for a network that is strongly typed.
CASES = (
    case("ResNet-18 FP32", partial(resnet, RESNET18), "tensorrt-11", "resnet18-fp32"),
    case("ResNet-18 INT8, float skips", partial(resnet, RESNET18, Quantizers(False, False)),
         "tensorrt-8.6", "resnet18-qat"),
    case("ResNet-18 INT8, float pool", partial(resnet, RESNET18, Quantizers(True, False)),
         "tensorrt-8.6", "resnet18-qdq-residuals"),
    case("ResNet-18 INT8", partial(resnet, RESNET18, ALL), "tensorrt-8.6",
         "resnet18-qdq-residuals-pool"),
    case("UNet INT8", partial(unet, ALL, sparse=True), "tensorrt-10", "unet-resnet34-int8"),
    case("UNet INT8 2:4", partial(unet, ALL, sparse=True), "tensorrt-10", "unet-resnet34-int8",
         True),
    case("UNet FP16", partial(unet, sparse=True), "tensorrt-10", "unet-resnet34-fp16"),
    case("UNet FP16 2:4", partial(unet, sparse=True), "tensorrt-10", "unet-resnet34-fp16", True),
)  # fmt: skip

GAINS = (
    gain("UNet INT8", partial(unet, ALL, sparse=True), "tensorrt-10", "unet-resnet34-int8"),
    gain("UNet FP16", partial(unet, sparse=True), "tensorrt-10", "unet-resnet34-fp16"),
    gain("ResNet-34 INT8", partial(resnet, RESNET34, ALL, sparse=True), "tensorrt-8.6",
         "resnet34-a40-batch-1"),
    gain("ResNet-34 INT8", partial(resnet, RESNET34, ALL, sparse=True), "tensorrt-8.6",
         "resnet34-a40-batch-2048"),
)  # fmt: skip


def times(row: Case) -> Times:
    """The predicted seconds."""
    return estimate(predict(row.network(), row.target, batch=row.batch), gpu(row.gpu)).about


def predicted(row: Case) -> float:
    """Milliseconds, or how many times faster."""
    found = times(row)
    if row.kernels == "gain":
        return found.dense / found.sparse
    return 1e3 * (found.sparse if row.kernels == "sparse" else found.dense)


def off(row: Case) -> float:
    """How far the prediction lies from the measurement, as a share of it."""
    return predicted(row) / row.measured - 1


def main() -> None:
    """Print a table of each kind."""
    for title, rows in (("ms", CASES), ("gain from 2:4", GAINS)):
        print(f"{title:<29} {'GPU':<15} {'batch':>5} {'measured':>9} {'predicted':>9} {'off':>7}")
        for row in rows:
            found = predicted(row)
            share = 100 * (found / row.measured - 1)
            figures = f"{row.measured:>9.3f} {found:>9.3f} {share:>+6.1f}%"
            print(f"{row.name:<29} {row.gpu:<15} {row.batch:>5} {figures}")
        print()


if __name__ == "__main__":
    main()

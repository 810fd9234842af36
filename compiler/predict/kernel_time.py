"""How long one kernel takes on a GPU: at least, and as measured kernels do.

At least: the longer of its arithmetic at the peak and its traffic at the full bandwidth.  As
measured ones do: a launch, and the longer of the two at the shares that kernels of the GPU's
generation reach (`Constants`), with channels padded as the kernels want them, on no more SMs than
there are tiles to compute.  What a cache holds from one kernel to the next is not counted: in the
A100's engines a Q that reads what was just written takes as long as one that reads from memory.
"""

from __future__ import annotations

from math import ceil

from sparqc.declared.gpus import Constants, Gpu
from sparqc.predict.engine import PredictedKernel, Tensor

#: A 2:4 weight is stored as half of its values and two bits for each of these.
_STORED = 0.5 + 0.5 / 4


def least_seconds(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    """The roofline, a bound from below; with `sparse` 2:4 kernels where they pay."""
    return max(traffic_seconds(kernel, gpu, sparse), arithmetic_seconds(kernel, gpu, sparse))


def traffic_seconds(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    """Its bytes at the full bandwidth."""
    moved = kernel.bytes_read + kernel.bytes_written + _weight_bytes(kernel, gpu, sparse)
    return moved / (gpu.bandwidth * 1e9)


def arithmetic_seconds(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    """Its multiply-adds at the peak."""
    peak = gpu.peak(kernel.computes_in, sparse=runs_sparse(kernel, gpu, sparse))
    return 2 * (kernel.macs or 0) / peak


def runs_sparse(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> bool:
    """Whether a 2:4 kernel runs: where one is asked for, pays, and the GPU has one."""
    return sparse and kernel.sparse_pays and gpu.takes_sparse(kernel.computes_in)


def kernel_seconds(kernel: PredictedKernel, gpu: Gpu, sparse: bool = True) -> float:
    """The estimate; with `sparse` 2:4 kernels run where they pay."""
    known = gpu.generation.constants
    tensors = (*kernel.inputs, *kernel.outputs)
    moved = sum(_padded_bytes(t, known) for t in tensors) + _weight_bytes(kernel, gpu, sparse)
    traffic = moved / (known.bandwidth * gpu.bandwidth * 1e9)
    return 1e-6 * known.launch + max(traffic, _products(kernel, gpu, sparse))


def _products(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    known = gpu.generation.constants
    int8, takes = kernel.computes_in == "i8", runs_sparse(kernel, gpu, sparse)
    if takes:
        reached = known.int8_sparse if int8 else known.floats_sparse
    else:
        reached = known.int8 if int8 else known.floats
    used = _padding(kernel, known) / _busy(kernel, gpu)
    return arithmetic_seconds(kernel, gpu, sparse) / reached * used


def _weight_bytes(kernel: PredictedKernel, gpu: Gpu, sparse: bool) -> float:
    return kernel.weight_bytes * (_STORED if runs_sparse(kernel, gpu, sparse) else 1)


# -- channels ------------------------------------------------------------------------------------


def _padded_bytes(tensor: Tensor, known: Constants) -> float:
    count, each = tensor.channels, tensor.bytes or 0
    return each if count is None else each * _padded(count, tensor.dtype, known) / count


def _padded(channels: int, dtype: str, known: Constants) -> int:
    """The channels that a tensor of that type has in memory."""
    if dtype not in ("i8", "f16", "bf16"):
        return channels
    narrow = dtype != "i8" or channels <= known.fp16_channels
    unit = known.fp16_channels if narrow else known.int8_channels
    return ceil(channels / unit) * unit


def _padding(kernel: PredictedKernel, known: Constants) -> float:
    """How many times as many multiply-adds an ungrouped convolution does for its padding."""
    weight = _matrix(kernel)
    read = {t.channels for t in kernel.inputs}
    if weight is None or len(weight) != 4 or weight[1] not in read:
        return 1.0
    rows, columns = (_padded(size, kernel.computes_in, known) / size for size in weight[:2])
    return rows * columns


def _matrix(kernel: PredictedKernel) -> tuple[int, ...] | None:
    """The shape of the weight; None where there is none, or where a size is not known."""
    shape = next((t.shape for t in kernel.weights if t.shape and len(t.shape) > 1), None)
    if shape is None or not all(isinstance(d, int) and d for d in shape):
        return None
    return tuple(d for d in shape if isinstance(d, int))


# -- SMs -----------------------------------------------------------------------------------------


def _busy(kernel: PredictedKernel, gpu: Gpu) -> float:
    """The share of the SMs that have a tile of the result to compute."""
    weight = _matrix(kernel)
    results = max((t.elements or 0 for t in kernel.outputs), default=0)
    if weight is None or not results:
        return 1.0
    return min(1.0, ceil(results / gpu.generation.constants.tile) / gpu.sms)

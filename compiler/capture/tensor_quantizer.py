"""`TensorQuantizer`, the module that fake-quantizes weights and activations in several tools.

It is known by its class name and its attributes, so that none of these tools has to be installed:
`_amax` (the range; a buffer), `_num_bits`, `_axis`, `_unsigned`, `_narrow_range`, `_disabled`,
`_if_quant`, and in some of them `_pre_quant_scale`, `_block_sizes`, `_dynamic`, `_rotate`, `_bias`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import sparqc.ir.vocabulary.torch_ops  # noqa: F401  (registers sparqc::qdq)
from sparqc.errors import SparqcError

_CLASS = "TensorQuantizer"
#: The codes of a range that saw nothing but zeros.
_TINY = torch.finfo(torch.float32).tiny


def is_quantizer(module: nn.Module) -> bool:
    """Whether a module is one of these, whichever tool it comes from."""
    return any(c.__name__ == _CLASS for c in type(module).__mro__) and hasattr(module, "_num_bits")


class FakeQuantizer(nn.Module):
    """The same arithmetic in one operator, which torch.export traces.

    Its scale is no buffer: NaN, where nothing was ever calibrated, is no broken weight.
    """

    def __init__(
        self, scale: Tensor | None, axis: int | None, limits: tuple[int, int], factor: Tensor | None
    ) -> None:
        super().__init__()
        self.scale, self.axis, self.limits, self.factor = scale, axis, limits, factor

    def forward(self, x: Tensor) -> Tensor:
        """x fake-quantized; multiplied by the factor only where there is no scale."""
        if self.factor is not None:
            x = x * self.factor.to(x.dtype)
        if self.scale is None:
            return x
        axis = None if self.axis is None else self.axis % x.dim()
        quantized: Tensor = torch.ops.sparqc.qdq(x, self.scale, axis, *self.limits)
        return quantized


def replacement(path: str, quantizer: nn.Module) -> tuple[nn.Module, str]:
    """A module that does what the quantizer does, and a note where it cannot be all of it.

    Raises SparqcError where leaving it out would change more than its rounding.
    """
    _require_plain(path, quantizer)
    factor = _attribute(quantizer, "_pre_quant_scale")
    if _attribute(quantizer, "_enable_pre_quant_scale") is False:
        factor = None
    if _attribute(quantizer, "_disabled") or _attribute(quantizer, "_if_quant") is False:
        return FakeQuantizer(None, None, (0, 0), factor), ""
    if why := _why_left_out(quantizer):
        return FakeQuantizer(None, None, (0, 0), factor), why
    limits = _limits(quantizer)
    amax = _amax(quantizer)
    if amax is None:
        return FakeQuantizer(torch.tensor(float("nan")), None, limits, factor), ""
    axis = _axis(path, quantizer, amax)
    scale = (amax.reshape(-1) if axis is not None else amax.reshape(())) / limits[1]
    scale = torch.where(scale == 0, _TINY, scale)
    return FakeQuantizer(scale, axis, limits, factor), ""


def _attribute(quantizer: nn.Module, name: str) -> Any:
    return getattr(quantizer, name, None)


def _require_plain(path: str, quantizer: nn.Module) -> None:
    """SparqcError for what changes the numbers themselves."""
    if _attribute(quantizer, "_dequantize") or _attribute(quantizer, "_fake_quant") is False:
        raise SparqcError(
            f"the quantizer {path} holds integers, not floats: the weights were compressed",
            hint="compile the model as it was before that, with fake quantizers",
        )
    rotate = _attribute(quantizer, "_rotate")
    if rotate is not None and bool(getattr(rotate, "enable", rotate)):
        raise SparqcError(
            f"the quantizer {path} rotates what it quantizes",
            hint="quantize without rotation: INT8 kernels do not undo it",
        )


def _why_left_out(quantizer: nn.Module) -> str:
    """Why its range says nothing for INT8; "" where it does."""
    bits = _attribute(quantizer, "_num_bits")
    if _attribute(quantizer, "_block_sizes"):
        return "left out, quantized in blocks: no range for INT8"
    if isinstance(bits, (tuple, list)):
        return f"left out, FP{1 + sum(bits)}: no range for INT8"
    if bits != 8:
        return f"left out, INT{bits}: no range for INT8"
    if _attribute(quantizer, "_dynamic"):
        return "left out, dynamic: its range is another one for each input"
    if _attribute(quantizer, "_bias"):
        return "left out, affine: INT8 is symmetric"
    return ""


def _limits(quantizer: nn.Module) -> tuple[int, int]:
    """The lowest and the highest code."""
    if _attribute(quantizer, "_unsigned"):
        return 0, 255
    return (-127 if _attribute(quantizer, "_narrow_range") else -128), 127


def _amax(quantizer: nn.Module) -> Tensor | None:
    """The range in f32; None where it was never calibrated.  Learned ones lie in a Clip module."""
    found = _attribute(quantizer, "_amax")
    if _attribute(quantizer, "_learn_amax"):
        found = getattr(_attribute(quantizer, "clip"), "clip_value_max", found)
    return found.detach().float().cpu() if isinstance(found, Tensor) else None


def _axis(path: str, quantizer: nn.Module, amax: Tensor) -> int | None:
    """The channel axis of the range; None for one range."""
    if amax.numel() == 1:
        return None
    axis = _attribute(quantizer, "_axis")
    axes = (axis,) if isinstance(axis, int) else tuple(axis or ())
    if len(axes) > 1:  # all but one have a single index
        axes = tuple(a for a in axes if a < amax.dim() and amax.shape[a] == amax.numel())
    if len(axes) != 1:
        raise SparqcError(
            f"the quantizer {path} has ranges of the shape {list(amax.shape)} along the axes "
            f"{axis}: INT8 has one axis at most",
            hint="quantize it per tensor, or a weight along its output channels",
        )
    return int(axes[0])

"""The modules of two tools as they look from outside: class names, attributes and arithmetic.

`TensorQuantizer` follows pytorch-quantization 2.1 and Model Optimizer 0.47, which share it:
`_tensor_quant` of the former's tensor_quant.py, with its check that no range is negative, which
torch.export cannot trace.  The layers of the two differ: the former names its quantizers
`_input_quantizer` and calls them in forward, the latter hands a quantized `weight` to whoever reads
that attribute.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class TensorQuantizer(nn.Module):
    """Fake quantization by a range."""

    def __init__(self, amax: Any = None, axis: Any = None, **attributes: Any) -> None:
        super().__init__()
        self._num_bits, self._axis, self._unsigned, self._narrow_range = 8, axis, False, False
        self._disabled, self._if_quant, self._if_calib, self._fake_quant = False, True, False, True
        for name, value in attributes.items():
            setattr(self, f"_{name}", value)
        if amax is not None:
            self.register_buffer("_amax", torch.as_tensor(amax, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        if self._disabled or not self._if_quant:
            return x
        if getattr(self, "_pre_quant_scale", None) is not None:
            x = x * self._pre_quant_scale
        amax = self._amax if hasattr(self, "_amax") else x.detach().abs().max()
        if amax.min() < 0:
            raise ValueError("Negative values in amax")
        bound = 2.0 ** (self._num_bits - 1 + int(self._unsigned)) - 1.0
        low = 0 if self._unsigned else -bound if self._narrow_range else -bound - 1
        scale = bound / amax
        return torch.clamp((x * scale).round(), low, bound) / scale


class _Named:
    """Layers of pytorch-quantization: QuantConv2d and QuantLinear."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._input_quantizer, self._weight_quantizer = TensorQuantizer(), TensorQuantizer(axis=0)

    def quantized(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._input_quantizer(x), self._weight_quantizer(self.weight)


class QuantConv2d(_Named, nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        x, weight = self.quantized(x)
        return self._conv_forward(x, weight, self.bias)


class QuantLinear(_Named, nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        x, weight = self.quantized(x)
        return functional.linear(x, weight, self.bias)


class _Dynamic:
    """Layers of Model Optimizer: `weight` is masked and quantized where it is read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.input_quantizer, self.weight_quantizer = TensorQuantizer(), TensorQuantizer(axis=0)
        self.output_quantizer = TensorQuantizer(disabled=True)
        self.register_buffer("_weight_mask", None)

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name != "weight" or "_weight_mask" not in self._buffers:  # not set up yet
            return found
        masked = found if self._weight_mask is None else found * self._weight_mask
        return self.weight_quantizer(masked)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_quantizer(super().forward(self.input_quantizer(x)))


class DynamicConv2d(_Dynamic, nn.Conv2d):
    pass


class DynamicLinear(_Dynamic, nn.Linear):
    pass


def calibrated(net: nn.Module, *batches: Tensor) -> nn.Module:
    """Give every quantizer the largest magnitude that it sees, as the tools' max calibration."""
    quantizers = [m for m in net.modules() if isinstance(m, TensorQuantizer)]
    handles = [m.register_forward_pre_hook(_observe) for m in quantizers]
    for quantizer in quantizers:
        quantizer._if_quant = False
    with torch.no_grad():
        for batch in batches:
            net(batch)
    for quantizer, handle in zip(quantizers, handles, strict=True):
        quantizer._if_quant = True
        handle.remove()
    return net


def _observe(quantizer: nn.Module, given: tuple[Tensor, ...]) -> None:
    x, axis = given[0].detach().abs(), quantizer._axis
    others = [a for a in range(x.dim()) if a != axis]
    amax = x.max() if axis is None else x.amax(others, keepdim=True)
    known = getattr(quantizer, "_amax", None)
    quantizer.register_buffer("_amax", amax if known is None else torch.maximum(known, amax))

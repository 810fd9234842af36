"""Model Optimizer, on PyTorch: `python with_modelopt.py EXCHANGE SETTING LOGITS.npy`.

Runs in an environment of its own.  SETTING is `ACTIVATIONS+WEIGHTS`: max, entropy, mse, or
percentile:99.99 for the ranges of activations; max or mse for those of weights; smoothquant and
gptq stand alone.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelopt.torch.quantization as mtq
import numpy as np
import torch
from exchange import BATCH, THREADS, calibration, evaluation, network
from modelopt.torch.quantization.nn import QuantInputBase, TensorQuantizer
from torch import nn
from where import also_quantized


class Place(nn.Identity):
    """A value that is quantized although no convolution reads it."""


mtq.register(original_cls=Place, quantized_cls=type("QuantPlace", (QuantInputBase,), {}))
Loop = Callable[[nn.Module], None]


def with_places(net: nn.Module) -> nn.Module:
    """The network with a quantizer on each skip and on the input of the pool, as Model Optimizer's
    documentation puts them into a residual block by hand."""
    traced = torch.fx.symbolic_trace(net)
    for number, (reader, read) in enumerate(list(also_quantized(traced.graph))):
        name = f"place{number}"
        traced.add_submodule(name, Place())
        with traced.graph.inserting_before(reader):
            reader.replace_input_with(read, traced.graph.call_module(name, (read,)))
    traced.recompile()
    return traced


def quantize(net: nn.Module, setting: str, loop: Loop) -> nn.Module:
    """Quantize the network in place with one of the settings."""
    config = copy.deepcopy(mtq.INT8_DEFAULT_CFG)
    activations, _, weights = setting.partition("+")
    if not weights:
        config["algorithm"] = activations
        return mtq.quantize(net, config, loop)
    config["algorithm"] = weights
    net = mtq.quantize(net, config, loop)
    if activations != "max":
        calibrate_by_histogram(net, activations, loop)
    return net


def calibrate_by_histogram(net: nn.Module, setting: str, loop: Loop) -> None:
    """Choose the ranges of activations again, from histograms."""
    from modelopt.torch.quantization.calib import HistogramCalibrator

    method, _, percentile = setting.partition(":")
    inputs = [
        m
        for name, m in net.named_modules()
        if isinstance(m, TensorQuantizer) and name.endswith("input_quantizer") and m.is_enabled
    ]
    every = [m for m in net.modules() if isinstance(m, TensorQuantizer) and m.is_enabled]
    for quantizer in every:
        quantizer.disable_quant()
    for quantizer in inputs:
        quantizer._calibrator = HistogramCalibrator()
        quantizer.enable_calib()
    loop(net)
    options: dict[str, Any] = {"percentile": float(percentile)} if percentile else {}
    for quantizer in inputs:
        quantizer.load_calib_amax(method, **options)
        quantizer.disable_calib()
    for quantizer in every:
        quantizer.enable_quant()


def main(exchange: str, setting: str, logits: str) -> None:
    """Quantize, run, and write the logits."""
    torch.set_num_threads(THREADS)
    folder = Path(exchange)
    images = torch.from_numpy(calibration(folder)).split(BATCH)

    def loop(net: nn.Module) -> None:
        for batch in images:
            net(batch)

    with torch.no_grad():
        net = quantize(with_places(network(folder.name).model()), setting, loop)
        mtq.print_quant_summary(net)
        found = [net(torch.from_numpy(x)) for x in evaluation(folder)]
    np.save(logits, torch.cat(found).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])

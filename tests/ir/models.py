"""Small PyTorch models, exported with a dynamic batch."""

from __future__ import annotations

import torch
from torch import nn

import sparqc.ir.vocabulary.torch_ops  # noqa: F401  (registers sparqc::qdq and sparqc::mask)

SPARQC = torch.ops.sparqc


def exported(model: nn.Module, *args: torch.Tensor) -> torch.fx.GraphModule:
    """The model as torch.export sees it, the first dimension of each argument dynamic."""
    batch = tuple({0: torch.export.Dim("batch")} for _ in args)
    program = torch.export.export(model.eval(), args, dynamic_shapes=batch, strict=False)
    return program.module(check_guards=False)


class Quantized(nn.Module):
    """A small residual network with masks, quantizers, and a linear layer over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.mix, self.head = nn.Linear(8, 8), nn.Linear(8, 10)
        self.register_buffer("mask", torch.rand(8, 8, 3, 3) > 0.5)
        self.register_buffer("channels", torch.linspace(0.005, 0.01, 8))
        self.register_buffer("scale", torch.tensor(0.03))

    def data(self, x: torch.Tensor) -> torch.Tensor:
        return SPARQC.qdq(x, self.scale, None, -128, 127)

    def weight(self, w: torch.Tensor) -> torch.Tensor:
        return SPARQC.qdq(w, self.channels, 0, -127, 127)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        weight = self.weight(SPARQC.mask(self.conv.weight, self.mask))
        y = nn.functional.conv2d(self.data(x), weight, self.conv.bias, padding=1)
        x = torch.relu(x + y)
        tokens = self.data(self.after(x).flatten(2).transpose(1, 2))
        tokens = nn.functional.linear(tokens, self.weight(self.mix.weight), self.mix.bias)
        return self.head(tokens.mean(1))

    def after(self, x: torch.Tensor) -> torch.Tensor:
        """For subclasses: what else happens to the activations."""
        return x

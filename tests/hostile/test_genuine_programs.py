"""Programs as people save them: the allow list takes them, and changes nothing."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparqc.tools.model.program_file import read_program


class Nested(nn.Module):
    """Nested inputs and outputs, a buffer that changes, in-place calls, modes, an odd name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.parts = nn.ModuleDict({"layer-1 a": nn.Conv2d(8, 8, 1)})
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, data: dict[str, Tensor], *, mask: Tensor) -> Any:
        y = self.parts["layer-1 a"](F.relu(self.conv(data["image"]), inplace=True))
        with torch.no_grad():
            mean = y.mean((2, 3), keepdim=True)
        y = y - mean
        y[:, :2] = 0
        self.calls.add_(1)
        return OrderedDict(a=y, b=[y.sum(), mask * 1])


class Branches(nn.Module):
    """A branch, sizes that depend on data, operators outside of the table."""

    def forward(self, x: Tensor) -> Any:
        y = torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))
        found = x.flatten().nonzero().float().sum(0)
        return y, found, torch.einsum("bchw,bdhw->bcd", x, x), torch.fft.rfft(x).abs()


class Sizes(nn.Module):
    """Arithmetic on sizes: squares, quotients, maxima."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Any:
        y = self.conv(x)
        flat = y.reshape(y.shape[0], 4 * y.shape[2] * y.shape[3])
        return flat, F.interpolate(y, scale_factor=1.5)


IMAGE = torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)
SIDE = torch.export.Dim("side", min=8, max=512)
PROGRAMS: dict[str, tuple[nn.Module, tuple[Any, ...], dict[str, Any], Any]] = {
    "nested": (Nested(), ({"image": IMAGE},), {"mask": torch.ones(2)}, None),
    "branches": (Branches(), (IMAGE,), {}, None),
    "sizes": (Sizes(), (IMAGE,), {}, ({0: torch.export.Dim.AUTO, 2: SIDE, 3: SIDE},)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_as_people_save_them(tmp_path: Path, name: str) -> None:
    module, args, kwargs, shapes = PROGRAMS[name]
    program = torch.export.export(module.eval(), args, kwargs, dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "model.pt2")
    read = read_program(tmp_path / "model.pt2")
    assert str(read.graph) == str(torch.export.load(tmp_path / "model.pt2").graph)
    got = read.module(check_guards=False)(*args, **kwargs)
    torch.testing.assert_close(got, module(*args, **kwargs))

"""A small exported program, and copies of its file in which something was planted."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Net(nn.Module):
    """Has parameters, a buffer, a constant, a dynamic batch and arithmetic on sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("scale", torch.full((4, 1, 1), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu_(self.conv(x) * self.scale + torch.tensor([1.0]))
        return y.reshape(2 * x.shape[0], 72)


def save_program(path: Path) -> None:
    torch.manual_seed(0)
    batch = torch.export.Dim("batch", min=2, max=64)
    inputs = (torch.ones(4, 3, 8, 8),)
    program = torch.export.export(Net().eval(), inputs, dynamic_shapes=({0: batch},))
    torch.export.save(program, path)


def rewritten(
    saved: Path, path: Path, change: Callable[[str, bytes], bytes | None], **options: Any
) -> Path:
    """A copy in which each entry has another content; None leaves one out."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", **options) as new:
        for entry in old.namelist():
            content = change(entry, old.read(entry))
            if content is not None:
                new.writestr(entry, content)
    return path


def planted(saved: Path, path: Path, ending: str, change: Callable[[Any], object]) -> Path:
    """A copy in which the JSON of one entry was changed."""

    def edit(entry: str, content: bytes) -> bytes:
        if not entry.endswith(ending):
            return content
        data = json.loads(content)
        change(data)
        return json.dumps(data).encode()

    return rewritten(saved, path, edit)


def objects(content: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON."""
    stack = [content]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def nodes(program: Any) -> list[Any]:
    found: list[Any] = program["graph_module"]["graph"]["nodes"]
    return found


def renamed(program: Any, old: str, new: str) -> None:
    """The value `old` gets the name `new` wherever it is written or read."""
    for item in list(objects(program)):
        for key, value in list(item.items()):
            if value == old:
                item[key] = new
            if key == old:
                item[new] = item.pop(old)

"""Words for what graphs and values are: which level, which shape."""

from __future__ import annotations

from typing import Literal

Level = Literal["fx", "onnx"]
#: One entry a dimension: its size, or the name (or expression) of a symbolic one such as "batch".
Shape = tuple[int | str, ...]

"""What `sparqc build` compiles for."""

from __future__ import annotations

RTX = "tensorrt-rtx"

#: Every target; `tensorrt` stands for the version that is installed.
TARGETS = (RTX, "tensorrt", "tensorrt-8.6", "tensorrt-10", "tensorrt-11")

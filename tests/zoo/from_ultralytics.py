"""Ultralytics' layouts of YOLO, as they are exported."""

from __future__ import annotations

import os
import tempfile
from functools import partial

from torch import nn

# Ultralytics writes its settings where it is imported, and asks the net for a newer version.
os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp(prefix="sparqc-zoo-"))
os.environ.setdefault("YOLO_OFFLINE", "true")

from ultralytics.nn.tasks import DetectionModel, SegmentationModel

from tests.zoo.architecture import Architecture, image


def build(kind: type[nn.Module], layout: str) -> nn.Module:
    """A network whose head gives what it gives in an export."""
    net = kind(layout, verbose=False)
    for part in net.modules():
        if hasattr(part, "export"):
            part.export, part.format = True, "onnx"
    return net


def of(layout: str, kind: type[nn.Module] = DetectionModel) -> Architecture:
    name = layout.replace("-", "_")
    return Architecture(name, "ultralytics", partial(build, kind, f"{layout}.yaml"), image(64))


ARCHITECTURES = (
    of("yolov5n"),
    of("yolov6n"),
    of("yolov8n"),
    of("yolov8n-seg", SegmentationModel),
    of("yolov10n"),
    of("yolo11n"),
    of("yolo26n"),
)

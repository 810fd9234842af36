"""The command that builds an engine from a finished ONNX file and lists its layers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from sparqc.declared.targets import profile
from sparqc.tools.engine.shapes import ShapeRange

#: Options that make `trtexec` say what it built (8.4 and later know them all).  The command of
#: TensorRT-RTX documents the first two only.
_VERBOSE = ("--profilingVerbosity=detailed", "--dumpLayerInfo")
_EXPORT = "--exportLayerInfo={}"


def trtexec_line(
    model: str | Path,
    target: str,
    shapes: Mapping[str, ShapeRange],
    *,
    engine: str | Path | None = None,
    sm: int | None = None,
) -> str:
    """The shell command for a target: the profile's own, and options that list the layers.

    The target's profile says what its version needs: `--int8 --fp16` where networks are weakly
    typed, nothing from 11 on, where strong typing is the only kind and the precision options are
    gone.  Shapes are given only for inputs that have a range or a free dimension: `shapes` names
    those.  `engine` is `model.plan` beside the model by default; `sm` is for TensorRT-RTX, which
    builds for a GPU that need not be there.

    Raises:
        UsageError: for an unknown target.
    """
    model = Path(model)
    plan = Path(engine) if engine else model.with_suffix(".plan")
    ranges = {_quoted(name): (s.min, s.opt, s.max) for name, s in shapes.items()}
    command = profile(target).build_command(str(model), str(plan), ranges)
    extra = list(_VERBOSE)
    if command.startswith("trtexec"):
        extra.append(_EXPORT.format(model.with_suffix(".layers.json")))
    elif sm:
        extra.append(f"--computeCapabilities={sm}")
    return f"{command} {shlex.join(extra)}"


def _quoted(name: str) -> str:
    """An input's name as shape options read it: one with a colon needs quotes of its own."""
    return f"'{name}'" if ":" in name else name

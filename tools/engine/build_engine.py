"""An ONNX file compiled by the target's own compiler, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import onnx

from sparqc.declared.targets import default_profile, profiles
from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.input_shapes import Shapes
from sparqc.tools.engine.own_process import in_own_process
from sparqc.tools.engine.report import EngineReport
from sparqc.tools.engine.rtx import DEFAULT_SM, compile_rtx
from sparqc.tools.engine.targets import RTX, TARGETS
from sparqc.tools.engine.trt import compile_trt
from sparqc.tools.model.recorded_options import compiled_for


def build_engine(
    path: str | Path,
    target: str = RTX,
    sm: int | None = None,
    *,
    batch: int | None = None,
    shapes: Shapes | None = None,
    sparse: bool = True,
    output: str | Path | None = None,
) -> EngineReport:
    """Compile an ONNX file for a target.

    `sm` (86 for SM86) is what TensorRT-RTX compiles for; TensorRT takes the GPU that is there.
    The compiler runs in a process of its own.  See `rtx.compile_rtx` for the rest.

    Raises:
        SparqcError: the compiler or its GPU is missing, or it dies, or a file cannot be read or
            written.
        UsageError: an unknown target or `sm`, or shapes that do not fit the model.
    """
    out = Path(output) if output else None
    if out and out.absolute() == Path(path).absolute():
        raise UsageError(f"the engine would overwrite the model '{path}'")
    if target == RTX:
        return in_own_process(
            compile_rtx,
            path,
            sm=DEFAULT_SM if sm is None else sm,
            batch=batch,
            shapes=shapes,
            sparse=sparse,
            output=out,
        )
    if target not in TARGETS:
        raise UsageError(
            f"there is no compiler for the target '{target}'", hint=did_you_mean(target, TARGETS)
        )
    if sm is not None:
        raise UsageError(
            f"--sm is for {RTX}; {target} compiles for the GPU of this machine",
            hint="leave --sm out",
        )
    return in_own_process(
        compile_trt, path, target=target, batch=batch, shapes=shapes, sparse=sparse, output=out
    )


def made_for_another(path: Path, target: str) -> str:
    """A warning where sparqc compiled the file for another target; "" where it did not."""
    made_for = compiled_for(onnx.load(path, load_external_data=False))
    if not made_for or (made_for == target if target in profiles() else made_for != RTX):
        return ""
    return (
        f"the file was compiled for {made_for}: what {target} takes otherwise may run in float "
        f"(sparqc compile --target {target if target in profiles() else default_profile().name})"
    )

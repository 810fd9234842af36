"""From one version of ONNX's operators to another."""

from __future__ import annotations

import onnx
import onnx.version_converter

from sparqc.errors import SparqcError
from sparqc.ir.onnx.skeleton import restore, skeleton_of


def convert_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model in another opset, through onnx's version converter; the model itself where it has
    that opset already.

    The converter works on the structure only, so that large weights are not copied.  Raises
    SparqcError, with the converter's reason, where an operator has no counterpart.
    """
    before = opset_of(model)
    if before == opset:
        return model
    try:
        converted = onnx.version_converter.convert_version(skeleton_of(model), opset)
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
        raise SparqcError(
            f"the model cannot be converted from opset {before} to {opset}: {_reason(error)}",
            hint="export it in that opset, or choose a target that reads a newer one",
        ) from error
    if opset_of(converted) != opset:
        raise SparqcError(f"the model stayed in opset {opset_of(converted)} instead of {opset}")
    return restore(converted, model)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators; 0 where the model names none."""
    versions = [i.version for i in model.opset_import if i.domain in ("", "ai.onnx")]
    return versions[0] if versions else 0


def _reason(error: Exception) -> str:
    return str(error).strip().rpartition("Assertion ")[2].splitlines()[0]

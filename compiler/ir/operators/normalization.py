"""Normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqc.errors import NoForm
from sparqc.ir.graph import Node, Value
from sparqc.ir.vocabulary.forms import (
    NUMPY_DTYPES,
    Rng,
    fx_call,
    integer,
    ints,
    normal,
    optional_tensor,
    rank_of,
    static_ints,
    tensor,
)
from sparqc.ir.vocabulary.operator import (
    REQUIRED,
    Call,
    FxCall,
    FxForm,
    Given,
    OnnxEmitter,
    OnnxForm,
    OperandSpec,
    Operator,
    Reading,
    Sample,
)

AFFINE = (
    OperandSpec("x"), OperandSpec("scale", optional=True), OperandSpec("bias", optional=True),
)  # fmt: skip
BATCH = (*AFFINE, OperandSpec("mean"), OperandSpec("var"))


def _filled(
    node: Node, emitter: OnnxEmitter, slot: str, number: float, shape: tuple[int, ...]
) -> Value | str:
    """An operand, or where it is absent a constant of `number`: ONNX insists on having one."""
    x, value = tensor(node, "x"), optional_tensor(node, slot)
    if value is not None:
        return value
    dtype = NUMPY_DTYPES.get(x.type.dtype, np.dtype("float32"))
    return emitter.constant(np.full(shape, number, dtype), f"{node.output.name}_{slot}")


def channels(node: Node) -> int:
    """The size of axis 1, which the affine parameters have too."""
    for slot, axis in (("scale", 0), ("bias", 0), ("mean", 0), ("x", 1)):
        value = node.operands.get(slot)
        shape = value.shape if isinstance(value, Value) else None
        size = shape[axis] if shape is not None and len(shape) > axis else None
        if isinstance(size, int):
            return size
    raise NoForm(f"{node.output.name}: the number of channels of {node.op} is unknown")


def _affine(node: Node, emitter: OnnxEmitter, shape: tuple[int, ...]) -> list[Value | str | None]:
    x = tensor(node, "x")
    ones = _filled(node, emitter, "scale", 1, shape)
    return [x, ones, _filled(node, emitter, "bias", 0, shape)]


def _sample_affine(rng: Rng, channels: int) -> dict[str, Any]:
    given = rng.random() < 0.7
    return {
        "scale": rng.uniform(0.5, 2, channels).astype(np.float32) if given else None,
        "bias": normal(rng, channels) if given else None,
    }


_CONST = frozenset({"scale", "bias", "mean", "var"})


# -- batch_norm ----------------------------------------------------------------------------------


def _read_batch_norm(call: Call) -> Reading | None:
    """Inference only: with `training` the statistics of the batch count, not the running ones."""
    given = call.arguments
    if given.get("training", False) is not False or given["running_mean"] is None:
        return None
    operands = {
        "x": given["input"], "scale": given["weight"], "bias": given["bias"],
        "mean": given["running_mean"], "var": given["running_var"],
    }  # fmt: skip
    return Reading(operands, {"epsilon": given["eps"]})


def _write_batch_norm(node: Node) -> FxCall:
    operands = [optional_tensor(node, slot) for slot in ("x", "scale", "bias", "mean", "var")]
    return fx_call(
        "aten.batch_norm.default", *operands, False, 0.0, node.attributes["epsilon"], False
    )


def _read_batch_norm_onnx(call: Call) -> Reading | None:
    given = call.arguments
    if given.get("training_mode") or len(call.types) > 1 or given.get("spatial") == 0:
        return None
    operands = {
        "x": given["X"], "scale": given["scale"], "bias": given["B"],
        "mean": given.get("input_mean", given.get("mean")),
        "var": given.get("input_var", given.get("var")),
    }  # fmt: skip
    return Reading(operands, {"epsilon": given["epsilon"]})


def _write_batch_norm_onnx(node: Node, emitter: OnnxEmitter) -> None:
    mean, var = tensor(node, "mean"), tensor(node, "var")
    inputs = [*_affine(node, emitter, (channels(node),)), mean, var]
    attributes = {"epsilon": node.attributes["epsilon"]}
    emitter.emit("BatchNormalization", inputs, attributes, outputs=node.outputs)


def _sample_batch_norm(rng: Rng) -> Sample:
    shape = [(3, 4), (2, 4, 5), (2, 4, 3, 5)][int(rng.integers(3))]
    operands = {
        "x": normal(rng, *shape), **_sample_affine(rng, 4), "mean": normal(rng, 4),
        "var": rng.uniform(0.1, 2, 4).astype(np.float32),
    }  # fmt: skip
    return Sample(operands, {"epsilon": float(rng.choice([1e-5, 1e-3]))}, _CONST)


def _around_batch_norm(rng: Rng, given: Given) -> Sample | None:
    """Of the axis 1 of x; factors have either sign."""
    shape = given.shape("x") or (2, 4, *(3,) * int(rng.integers(0, 3)))
    if len(shape) < 2:
        return None
    channels = shape[1]
    operands = {
        "x": normal(rng, *shape), "scale": normal(rng, channels), "bias": normal(rng, channels),
        "mean": normal(rng, channels), "var": rng.uniform(0.1, 2, channels).astype(np.float32),
    }  # fmt: skip
    return Sample(operands, {"epsilon": float(rng.choice([1e-5, 1e-3]))}, _CONST)


# -- layer_norm ----------------------------------------------------------------------------------


def _read_layer_norm(call: Call) -> Reading | None:
    given = call.arguments
    shape = static_ints(given["normalized_shape"])
    if shape is None:
        return None
    return Reading(
        {"x": given["input"], "scale": given["weight"], "bias": given["bias"]},
        {"axis": -len(shape), "epsilon": given["eps"], "normalized_shape": shape},
    )


def _write_layer_norm(node: Node) -> FxCall:
    return fx_call(
        "aten.layer_norm.default", tensor(node, "x"), list(normalized_shape(node)),
        optional_tensor(node, "scale"), optional_tensor(node, "bias"), node.attributes["epsilon"],
    )  # fmt: skip


def normalized_shape(node: Node) -> tuple[int, ...]:
    """The sizes of the axes that a layer_norm normalizes over."""
    if node.attributes["normalized_shape"] is not None:
        return ints(node, "normalized_shape")
    sizes = static_ints((tensor(node, "x").shape or (None,))[integer(node, "axis") :])
    if sizes is None:
        raise NoForm(f"{node.output.name}: the sizes that {node.op} goes over are unknown")
    return sizes


def _read_layer_norm_onnx(call: Call) -> Reading | None:
    given, rank = call.arguments, rank_of(call.arguments["X"])
    axis = given["axis"]
    if len(call.types) > 1 or (axis >= 0 and rank is None) or given.get("stash_type", 1) != 1:
        return None
    axis = axis - (rank or 0) if axis >= 0 else axis
    scale, shape = given["Scale"], given["X"].shape
    for value in (scale.shape if rank_of(scale) == -axis else None, shape and shape[axis:]):
        if value is not None and static_ints(value) is not None:
            return Reading(
                {"x": given["X"], "scale": scale, "bias": given.get("B")},
                {"axis": axis, "epsilon": given["epsilon"], "normalized_shape": value},
            )
    return None


def _write_layer_norm_onnx(node: Node, emitter: OnnxEmitter) -> None:
    x, bias = tensor(node, "x"), optional_tensor(node, "bias")
    inputs: list[Value | str] = [x, _filled(node, emitter, "scale", 1, normalized_shape(node))]
    attributes = {name: node.attributes[name] for name in ("axis", "epsilon")}
    inputs += [] if bias is None else [bias]
    emitter.emit("LayerNormalization", inputs, attributes, outputs=node.outputs)


def _sample_layer_norm(rng: Rng) -> Sample:
    shape = [(4,), (3, 4)][int(rng.integers(2))]
    operands = {
        "x": normal(rng, 2, 3, 4),
        "scale": normal(rng, *shape),
        "bias": normal(rng, *shape) if rng.random() < 0.7 else None,
    }
    attributes: dict[str, Any] = {"axis": -len(shape), "epsilon": 1e-5, "normalized_shape": shape}
    return Sample(operands, attributes, _CONST)


# -- instance_norm and group_norm ----------------------------------------------------------------


def _read_instance_norm(call: Call) -> Reading | None:
    given = call.arguments
    if given["use_input_stats"] is not True:
        return None
    return Reading(
        {"x": given["input"], "scale": given["weight"], "bias": given["bias"]},
        {"epsilon": given["eps"]},
    )


def _write_instance_norm(node: Node) -> FxCall:
    return fx_call(
        "aten.instance_norm.default", tensor(node, "x"), optional_tensor(node, "scale"),
        optional_tensor(node, "bias"), None, None, True, 0.0, node.attributes["epsilon"], False,
    )  # fmt: skip


def _read_instance_norm_onnx(call: Call) -> Reading | None:
    given = call.arguments
    operands = {"x": given["input"], "scale": given["scale"], "bias": given["B"]}
    return Reading(operands, {"epsilon": given["epsilon"]})


def _write_instance_norm_onnx(node: Node, emitter: OnnxEmitter) -> None:
    inputs = _affine(node, emitter, (channels(node),))
    attributes = {"epsilon": node.attributes["epsilon"]}
    emitter.emit("InstanceNormalization", inputs, attributes, outputs=node.outputs)


def _sample_instance_norm(rng: Rng) -> Sample:
    operands = {"x": normal(rng, 2, 4, 5, 3), **_sample_affine(rng, 4)}
    return Sample(operands, {"epsilon": 1e-5}, _CONST)


def _read_group_norm(call: Call) -> Reading | None:
    given = call.arguments
    return Reading(
        {"x": given["input"], "scale": given["weight"], "bias": given["bias"]},
        {"num_groups": given.get("num_groups", given.get("group")), "epsilon": given["eps"]},
    )


def _write_group_norm(node: Node) -> FxCall:
    return fx_call(
        "aten.group_norm.default", tensor(node, "x"), node.attributes["num_groups"],
        optional_tensor(node, "scale"), optional_tensor(node, "bias"),
        node.attributes["epsilon"], False,
    )  # fmt: skip


def _read_group_norm_onnx(call: Call) -> Reading | None:
    """Before opset 21 scale and bias had one number a group, not a channel."""
    given = call.arguments
    if call.opset < 21 or given.get("stash_type", 1) != 1:
        return None
    return Reading(
        {"x": given["X"], "scale": given["scale"], "bias": given["bias"]},
        {"num_groups": given["num_groups"], "epsilon": given["epsilon"]},
    )


def _write_group_norm_onnx(node: Node, emitter: OnnxEmitter) -> None:
    """GroupNormalization from opset 21 on; before, an instance norm over the groups."""
    attributes = {"epsilon": node.attributes["epsilon"]}
    if emitter.opset >= 21:
        groups = {"num_groups": node.attributes["num_groups"], **attributes}
        inputs = _affine(node, emitter, (channels(node),))
        emitter.emit("GroupNormalization", inputs, groups, outputs=node.outputs)
        return
    normalized = _normalize_groups(node, emitter)
    scaled = _channelwise(node, emitter, "Mul", normalized, "scale")
    output = _channelwise(node, emitter, "Add", scaled, "bias")
    emitter.emit("Identity", [output], outputs=node.outputs)


def _normalize_groups(node: Node, emitter: OnnxEmitter) -> str:
    """x as [N, groups, the rest], each row normalized, and back in its shape."""
    x, hint = tensor(node, "x"), node.output.name
    groups = integer(node, "num_groups")
    dtype = NUMPY_DTYPES.get(x.type.dtype, np.dtype("float32"))
    grouped, normalized, shape, back = (emitter.temp(hint) for _ in range(4))
    rows = emitter.constant(np.array([0, groups, -1], np.int64), f"{hint}_groups")
    emitter.emit("Reshape", [x, rows], outputs=[grouped])
    ones = emitter.constant(np.ones(groups, dtype), f"{hint}_ones")
    zeros = emitter.constant(np.zeros(groups, dtype), f"{hint}_zeros")
    attributes = {"epsilon": node.attributes["epsilon"]}
    emitter.emit("InstanceNormalization", [grouped, ones, zeros], attributes, outputs=[normalized])
    emitter.emit("Shape", [x], outputs=[shape])
    emitter.emit("Reshape", [normalized, shape], outputs=[back])
    return back


def _channelwise(node: Node, emitter: OnnxEmitter, op_type: str, x: str, slot: str) -> str:
    """x times or plus a parameter of one number a channel."""
    parameter, source = optional_tensor(node, slot), tensor(node, "x")
    if parameter is None:
        return x
    shape = np.array([-1] + [1] * ((rank_of(source) or 4) - 2), np.int64)
    hint, output = f"{node.output.name}_{slot}", emitter.temp(node.output.name)
    if parameter.data is not None:
        stored = emitter.constant(parameter.data.reshape(shape), hint)
    else:
        stored = emitter.temp(hint)
        target = emitter.constant(shape, f"{hint}_shape")
        emitter.emit("Reshape", [parameter, target], outputs=[stored])
    emitter.emit(op_type, [x, stored], outputs=[output])
    return output


def _sample_group_norm(rng: Rng) -> Sample:
    operands = {"x": normal(rng, 2, 4, 5, 3), **_sample_affine(rng, 4)}
    return Sample(operands, {"num_groups": int(rng.choice([1, 2, 4])), "epsilon": 1e-5}, _CONST)


# -- rms_norm ------------------------------------------------------------------------------------


def _read_rms_norm(call: Call) -> Reading | None:
    given = call.arguments
    rank = rank_of(given["X"])
    if given["stash_type"] != 1 or (given["axis"] >= 0 and rank is None):
        return None
    axis = given["axis"] - (rank or 0) if given["axis"] >= 0 else given["axis"]
    operands = {"x": given["X"], "scale": given["scale"]}
    return Reading(operands, {"axis": axis, "epsilon": given["epsilon"]})


def _write_rms_norm(node: Node, emitter: OnnxEmitter) -> None:
    """One RMSNormalization from opset 23 on, which computes in FP32 inside; none before."""
    if emitter.opset < 23:
        raise NoForm(f"{node.output.name}: ONNX has no RMSNormalization before opset 23")
    attributes = {name: node.attributes[name] for name in ("axis", "epsilon")}
    inputs = [tensor(node, "x"), tensor(node, "scale")]
    emitter.emit("RMSNormalization", inputs, attributes, outputs=node.outputs)


def _sample_rms_norm(rng: Rng) -> Sample:
    operands = {"x": normal(rng, 2, 3, 5), "scale": rng.uniform(0.5, 2, 5).astype(np.float32)}
    return Sample(operands, {"axis": -1, "epsilon": 1e-5}, _CONST)


OPERATORS = (
    Operator(
        "nn.batch_norm",
        "(x - mean) / sqrt(var + epsilon) * scale + bias, one number a channel (axis 1).",
        BATCH, {"epsilon": 1e-5}, traits=("keeps_type",), sample=_sample_batch_norm,
        around=_around_batch_norm,
        fx=FxForm(("aten.batch_norm.default", "aten._native_batch_norm_legit_no_training.default"),
                  _read_batch_norm, _write_batch_norm),
        onnx=OnnxForm(("BatchNormalization",), _read_batch_norm_onnx, _write_batch_norm_onnx),
    ),
    Operator(
        "nn.layer_norm", "x normalized over its axes from `axis` (negative) on, times scale, "
        "plus bias.",
        AFFINE, {"axis": -1, "epsilon": 1e-5, "normalized_shape": None},
        traits=("keeps_type",), sample=_sample_layer_norm,
        fx=FxForm(("aten.layer_norm.default", "aten.native_layer_norm.default"),
                  _read_layer_norm, _write_layer_norm),
        onnx=OnnxForm(("LayerNormalization",), _read_layer_norm_onnx, _write_layer_norm_onnx),
    ),
    Operator(
        "nn.instance_norm", "x normalized for each sample and channel, times scale, plus bias.",
        AFFINE, {"epsilon": 1e-5}, traits=("keeps_type",), sample=_sample_instance_norm,
        fx=FxForm(("aten.instance_norm.default",), _read_instance_norm, _write_instance_norm),
        onnx=OnnxForm(("InstanceNormalization",), _read_instance_norm_onnx,
                      _write_instance_norm_onnx),
    ),
    Operator(
        "nn.group_norm", "x normalized for each sample and group of channels, times scale [C], "
        "plus bias [C].",
        AFFINE, {"num_groups": REQUIRED, "epsilon": 1e-5},
        traits=("keeps_type",), sample=_sample_group_norm,
        fx=FxForm(("aten.group_norm.default", "aten.native_group_norm.default"),
                  _read_group_norm, _write_group_norm),
        onnx=OnnxForm(("GroupNormalization",), _read_group_norm_onnx, _write_group_norm_onnx),
    ),
    Operator(
        "nn.rms_norm", "x over the root of its mean square, over its axes from `axis` (negative) "
        "on, times scale.",
        (OperandSpec("x"), OperandSpec("scale")), {"axis": -1, "epsilon": 1e-5},
        traits=("keeps_type",), sample=_sample_rms_norm,
        onnx=OnnxForm(("RMSNormalization",), _read_rms_norm, _write_rms_norm),
    ),
)  # fmt: skip

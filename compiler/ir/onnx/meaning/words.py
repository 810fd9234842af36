"""Attributes that are one of a few words, or yes or no: onnx's checker takes them for any text and
any number, and what runtimes make of others differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx

_RESIZE = {
    "mode": "nearest linear cubic",
    "coordinate_transformation_mode": "half_pixel half_pixel_symmetric pytorch_half_pixel "
    "align_corners asymmetric tf_crop_and_resize tf_half_pixel_for_nn",
    "nearest_mode": "round_prefer_floor round_prefer_ceil floor ceil",
    "keep_aspect_ratio_policy": "stretch not_larger not_smaller",
}
_RECURRENT = {"direction": "forward reverse bidirectional"}
_REDUCED = {"reduction": "none add mul max min"}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "": {"auto_pad": "NOTSET SAME_UPPER SAME_LOWER VALID"},  # whatever the operator
    "Resize": _RESIZE,
    "Upsample": {"mode": "nearest linear"},
    "Pad": {"mode": "constant reflect edge wrap"},
    "DepthToSpace": {"mode": "DCR CRD"},
    "GridSample": {
        "mode": "bilinear nearest bicubic linear cubic",
        "padding_mode": "zeros border reflection",
    },
    "RoiAlign": {
        "mode": "avg max",
        "coordinate_transformation_mode": "half_pixel output_half_pixel",
    },
    "LSTM": _RECURRENT, "GRU": _RECURRENT, "RNN": _RECURRENT,
    "ScatterElements": _REDUCED, "ScatterND": _REDUCED,
    "Gelu": {"approximate": "none tanh"},
    "BitShift": {"direction": "LEFT RIGHT"},
}  # fmt: skip


_FLAGS = frozenset(
    ("keepdims", "ceil_mode", "count_include_pad", "transA", "transB", "exclusive", "reverse",
     "largest", "sorted", "allowzero", "training_mode", "select_last_index", "align_corners",
     "noop_with_empty_axes", "linear_before_reset", "exclude_outside", "antialias", "is_causal")
)  # fmt: skip


def word_faults(node: onnx.NodeProto) -> Iterator[str]:
    """A sentence for each attribute of one of ONNX's own operators whose word nobody knows, or
    whose number is neither yes nor no."""
    if node.domain not in ("", "ai.onnx"):
        return
    for attribute in node.attribute:
        if attribute.name in _FLAGS and attribute.i not in (0, 1):
            yield f"{attribute.name} is {attribute.i}, neither 0 nor 1"
        known = _WORDS.get(node.op_type, {}).get(attribute.name) or _WORDS[""].get(attribute.name)
        if not known or attribute.type != onnx.AttributeProto.STRING:
            continue
        word = attribute.s.decode("utf-8", "replace")
        if word not in known.split():
            yield f"{attribute.name} is {word[:200]!r}, none of {', '.join(known.split())}"

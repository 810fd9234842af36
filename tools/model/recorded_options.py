"""The target and the knobs that an ONNX file was compiled for, for the commands that read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from sparqc.declared.knobs import knobs as known_knobs
from sparqc.declared.targets import profiles
from sparqc.job.options import Options
from sparqc.passes.check.record import KNOBS, TARGET


def recorded_options(
    model: onnx.ModelProto,
    target: str = "",
    knobs: Sequence[str] = (),
    patterns: Sequence[Path] = (),
) -> Options:
    """What a person asks for, filled up with what the file says that it was compiled for.

    A knob that a person sets goes before the recorded one; what is recorded and unknown here counts
    for nothing.
    """
    words = [word for word in _recorded(model, KNOBS).split(",") if _is_known(word)]
    return Options(
        passes="",
        target=target or compiled_for(model),
        knobs=(*words, *knobs),
        patterns=tuple(patterns),
    )


def compiled_for(model: onnx.ModelProto) -> str:
    """The target that a file says it was compiled for; "" where it says none that is known."""
    told = _recorded(model, TARGET)
    return told if told in profiles() else ""


def _recorded(model: onnx.ModelProto, key: str) -> str:
    return next((p.value for p in model.metadata_props if p.key == key), "")


def _is_known(word: str) -> bool:
    name, _, value = word.partition("=")
    knob = known_knobs().get(name)
    return knob is not None and (value in knob.values or not knob.values)

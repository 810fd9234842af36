"""Target profiles: what the pattern packages say about each target that a model is compiled for.

A profile is a table of a file `profiles.toml` beside the pattern files; its name is what a person
gives as the target, and what `for` in a pattern file is a prefix of.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from sparqc.base.toml_tables import Table, tables
from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.types import Shape
from sparqc.ir.vocabulary.onnx_names import OLDEST_OPSET

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class Profile:
    """What one target reads and how it is built for."""

    name: str
    #: One sentence for people.
    doc: str
    #: What people call the compiler and its version.
    compiler: str
    #: The ONNX opset that is written without a wish, and the range that the target reads.
    opset: int
    min_opset: int
    max_opset: int
    #: Quantized weights in the file: INT8 behind a DequantizeLinear, or FP32 -> Q -> DQ.
    weight_form: Literal["int8-dq", "float-q-dq"]
    #: ONNX's names of the element types that the parser reads; none where nobody says so.
    element_types: tuple[str, ...] = ()
    #: Element types that a scale may have.
    scale_dtypes: tuple[str, ...] = ("f32",)
    #: Whether Q and DQ need their zero-point input written even where it is 0.
    zero_point_input: bool = False
    #: Whether each tensor keeps the type that the file gives it.
    strongly_typed: bool = True
    #: Where they are not: INT8 convolutions that read so few channels write floats in FP32, while
    #: other kernels may write FP16.
    fp32_up_to_channels: int = 0
    #: Whether a release of it supports JetPack.
    jetpack: bool = False
    #: The type of the operators that are not quantized where others are, without a wish.
    float: Precision = "fp32"
    #: The command that builds an engine; {onnx} and {engine} stand for the two paths.
    build: tuple[str, ...] = ()
    #: Its words for dynamic shapes; {min}, {opt}, {max} stand for "x:1x3x224x224,y:1x8".
    build_shapes: tuple[str, ...] = ()
    #: Its words to list the layers of what it built; {layers} stands for a path.
    build_listing: tuple[str, ...] = ()
    #: The target of a person who names none; one profile has it.
    default: bool = False

    @property
    def oldest_written(self) -> int:
        """The oldest opset of a file for this target: older ones are read, and written anew."""
        return max(self.min_opset, OLDEST_OPSET)

    def require_opset(self, opset: int) -> int:
        """The same opset; UsageError where no file of it is written for the target."""
        if not self.min_opset <= opset <= self.max_opset:
            raise UsageError(
                f"opset {opset} is not read by the target {self.name!r}",
                hint=self._written,
            )
        if opset < self.oldest_written:
            raise UsageError(
                f"no file of opset {opset} is written: below {OLDEST_OPSET} scales have no axis",
                hint=self._written,
            )
        return opset

    @property
    def _written(self) -> str:
        return (
            f"ask for opset {self.oldest_written} to {self.max_opset}; the default is {self.opset}"
        )

    def require_precision(self, wish: Literal[""] | Precision) -> Precision:
        """The wish, or where it is "" the target's own; UsageError where the target cannot."""
        if not wish:
            return self.float
        if wish == "fp16" and "f16" not in self.scale_dtypes:
            raise UsageError(
                f"--float fp16: the target {self.name!r} reads scales in FP32 only",
                hint="leave --float out"
                + ": its compiler picks FP16 itself where that is faster"
                * (not self.strongly_typed),
            )
        return wish

    def build_command(
        self,
        onnx: Path,
        ranges: Mapping[str, tuple[Shape, Shape, Shape]],
        engine: Path | None = None,
    ) -> str:
        """The shell command that builds an engine from the file, or "" where there is none.

        `ranges` gives the smallest, the usual and the largest shape of each input that has
        symbolic dimensions.  `engine` is `model.plan` beside the model by default.
        """
        if not self.build:
            return ""
        paths = {
            "onnx": onnx,
            "engine": engine or onnx.with_suffix(".plan"),
            "layers": onnx.with_suffix(".layers.json"),
        }
        words = [word.format(**paths) for word in self.build]
        if ranges:
            low, usual, high = (
                ",".join(f"{_quoted(name)}:{_sizes(shapes[i])}" for name, shapes in ranges.items())
                for i in range(3)
            )
            words += [word.format(min=low, opt=usual, max=high) for word in self.build_shapes]
        words += [word.format(**paths) for word in self.build_listing]
        return shlex.join(words)


def _quoted(name: str) -> str:
    """An input's name as shape options read it: one with a colon needs quotes of its own."""
    return f"'{name}'" if ":" in name else name


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape))


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile by name, in the order of the files.

    Raises SparqcError where a file is broken or two distributions declare one name.
    """
    found = tables("profiles.toml", "target profiles")
    return MappingProxyType({name: _profile(table) for name, table in found.items()})


def profile(name: str) -> Profile:
    """The profile of that name; UsageError where there is none."""
    known = profiles()
    if name not in known:
        raise UsageError(f"there is no target {name!r}", hint=did_you_mean(name, known))
    return known[name]


def default_profile() -> Profile:
    """The profile of a person who names no target."""
    for candidate in profiles().values():
        if candidate.default:
            return candidate
    raise UsageError("no target is the default one", hint=f"known: {', '.join(profiles())}")


def _profile(table: Table) -> Profile:
    made = table.read_as(Profile)
    if not made.min_opset <= made.opset <= made.max_opset:
        raise table.error("opset does not lie between min_opset and max_opset")
    return made

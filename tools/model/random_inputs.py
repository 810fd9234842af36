"""Example inputs that a person describes instead of giving: `--input x:f32[8,3,224,224]`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparqc.errors import UsageError, did_you_mean
from sparqc.tools.model.user_code import RandomStream

#: The names of element types, as in dumps and pattern files.
DTYPES = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
    "u8": torch.uint8, "bool": torch.bool,
}  # fmt: skip

_FORM = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*)\s*:\s*)?"
    r"(?:(?P<dtype>[A-Za-z]\w*)\s*\[(?P<dims>[\d,\s]*)\]|(?P<plain>\d+(?:x\d+)*))"
)
_HINT = "write NAME:f32[8,3,224,224], f32[8,3,224,224] or 8x3x224x224, once for each input"
#: A tensor of more elements than this is a slip of the finger.
_LARGEST = 2**31


@dataclass(frozen=True)
class InputSpec:
    """What `--input` says of one input; `name` is "" where it is meant by its position."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    text: str


def parse_input(text: str) -> InputSpec:
    """Read `x:f32[8,3,224,224]`, `i64[8,128]` or `8x3x224x224` (f32).

    Raises:
        UsageError: for any other form, an unknown element type, and an empty dimension.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--input '{text}' is not an input", hint=_HINT)
    dtype = found["dtype"] or "f32"
    if dtype not in DTYPES:
        hint = did_you_mean(dtype, DTYPES)
        raise UsageError(f"--input '{text}': unknown element type {dtype!r}", hint=hint)
    shape = tuple(int(d) for d in re.findall(r"\d+", found["dims"] or found["plain"] or ""))
    if 0 in shape or torch.Size(shape).numel() > _LARGEST:
        raise UsageError(f"--input '{text}': the tensor would be empty or too large", hint=_HINT)
    return InputSpec(found["name"] or "", DTYPES[dtype], shape, text)


def random_inputs(
    specs: Sequence[str], module: nn.Module
) -> tuple[Tensor, ...] | dict[str, Tensor]:
    """A tensor for each `--input`, in the order of the parameters of `module.forward`; by name
    where one of them is taken by keyword alone.

    Floating-point tensors are standard normal, all others 0 or 1, which is a valid index, mask and
    token nearly everywhere; they are the same in every run.

    Raises:
        UsageError: for a text that describes no input, and for a name or a number of inputs that
            `forward` does not have.
    """
    parsed = [parse_input(text) for text in specs]
    if not {spec.name for spec in parsed}.isdisjoint(_keyword_only(module)):
        with RandomStream().active():
            return {spec.name: _random(spec) for spec in _named(parsed, module)}
    ordered = _in_order(parsed, module)
    with RandomStream().active():
        return tuple(_random(spec) for spec in ordered)


def _keyword_only(module: nn.Module) -> list[str]:
    parameters = inspect.signature(module.forward).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _named(specs: list[InputSpec], module: nn.Module) -> list[InputSpec]:
    """The inputs, each of which has a name of its own."""
    known = [*(_parameters(module) or ()), *_keyword_only(module)]
    seen: set[str] = set()
    for spec in specs:
        if not spec.name:
            hint = f"write NAME:{spec.text}, as other inputs are given by keyword"
            raise UsageError(f"--input '{spec.text}' has no name", hint=hint)
        if spec.name not in known:
            hint = did_you_mean(spec.name, known)
            raise UsageError(f"--input '{spec.text}': no input {spec.name!r}", hint=hint)
        if spec.name in seen:
            raise UsageError(f"--input '{spec.text}': {spec.name!r} is given twice")
        seen.add(spec.name)
    return specs


def _random(spec: InputSpec) -> Tensor:
    if spec.dtype.is_floating_point:
        return torch.randn(spec.shape).to(spec.dtype)
    return torch.randint(0, 2, spec.shape).to(spec.dtype)


def _in_order(specs: list[InputSpec], module: nn.Module) -> list[InputSpec]:
    """The named ones at the place of their parameter, the others where there is room."""
    names = _parameters(module)
    if names is None:  # forward takes *args
        return specs
    if len(specs) > len(names):
        raise UsageError(
            f"{len(specs)} inputs are given, but the model takes {len(names)}: {', '.join(names)}"
        )
    places: dict[int, InputSpec] = {}
    for spec in (s for s in specs if s.name):
        if spec.name not in names:
            hint = did_you_mean(spec.name, names)
            raise UsageError(f"--input '{spec.text}': no input {spec.name!r}", hint=hint)
        if names.index(spec.name) in places:
            raise UsageError(f"--input '{spec.text}': {spec.name!r} is given twice")
        places[names.index(spec.name)] = spec
    free = (i for i in range(len(names)) if i not in places)
    places.update(zip(free, (s for s in specs if not s.name), strict=False))
    return _without_gaps(places, names)


def _without_gaps(places: dict[int, InputSpec], names: list[str]) -> list[InputSpec]:
    missing = [names[i] for i in range(len(places)) if i not in places]
    if missing:
        raise UsageError(
            f"the input {missing[0]!r} is missing: inputs are given by position, so those before "
            f"{names[max(places)]!r} are needed",
            hint=f"add --input {missing[0]}:f32[…]",
        )
    return [places[i] for i in range(len(places))]


def _parameters(module: nn.Module) -> list[str] | None:
    parameters = inspect.signature(module.forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]

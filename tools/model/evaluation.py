"""The user's `evaluate(run)` on the original model and on the compiled file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch.utils import _pytree as pytree

from sparqc.errors import SparqcError
from sparqc.ir.boundary import decode, encode
from sparqc.report.metric import Metric
from sparqc.tools.model.functions import Evaluate


def compare(
    evaluate: Evaluate,
    module: torch.nn.Module,
    path: Path,
    scales: Mapping[str, float] | None = None,
) -> list[Metric]:
    """The metrics of a module and of the ONNX file that was made of it.

    `scales` are those of the inputs and outputs that are INT8 codes in the file.

    Raises SparqcError where evaluate() fails, or feeds the file what it does not take.
    """
    reference = Reference(module)
    before = dict(evaluate(reference))
    after = dict(evaluate(CompiledModel(path, reference, scales)))
    if list(before) != list(after):
        raise SparqcError(f"evaluate() gave {list(before)} once and {list(after)} later")
    return [Metric(name, before[name], after[name]) for name in before]


class Reference:
    """The original module as evaluate() calls it; it remembers what its result looks like."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module.eval()
        self.spec: pytree.TreeSpec | None = None
        self.leaves: list[Any] = []

    def __call__(self, *inputs: torch.Tensor, **named: torch.Tensor) -> Any:
        """What the module gives."""
        with torch.no_grad():
            result = self.module(*inputs, **named)
        if self.spec is None:
            leaves, self.spec = pytree.tree_flatten(result)
            self.leaves = [None if isinstance(x, torch.Tensor) else x for x in leaves]
        return result

    def like(self, tensors: list[torch.Tensor]) -> Any:
        """Tensors in the structure of the module's result: a dict stays a dict."""
        wanted = sum(leaf is None for leaf in self.leaves)
        if self.spec is None or wanted != len(tensors):
            return tensors[0] if len(tensors) == 1 else tuple(tensors)
        rest = iter(tensors)
        return pytree.tree_unflatten(
            [next(rest) if leaf is None else leaf for leaf in self.leaves], self.spec
        )


class CompiledModel:
    """The ONNX file in onnxruntime, called like the module."""

    def __init__(
        self, path: Path, reference: Reference, scales: Mapping[str, float] | None = None
    ) -> None:
        self.scales = scales or {}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait busily take the cores from evaluate() itself.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.reference = reference

    def __call__(self, *inputs: torch.Tensor, **named: torch.Tensor) -> Any:
        """What the file gives, as torch tensors; SparqcError where the inputs do not fit."""
        slots = self.session.get_inputs()
        inputs = (*inputs, *_in_order(named, [slot.name for slot in slots[len(inputs) :]]))
        if len(inputs) != len(slots):
            raise SparqcError(
                f"evaluate() gave {len(inputs)} inputs; the compiled model takes {len(slots)}: "
                + ", ".join(slot.name for slot in slots)
            )
        for slot, tensor in zip(slots, inputs, strict=True):
            _check_shape(slot.name, slot.shape, tensor)
        arrays = [x.detach().cpu().contiguous().numpy() for x in inputs]
        feeds = encode(arrays, map(_end_of, slots), self.scales)
        names = [s.name for s in slots]
        outputs = self.session.run(None, dict(zip(names, feeds, strict=True)))
        outputs = decode(outputs, [y.name for y in self.session.get_outputs()], self.scales)
        return self.reference.like([torch.from_numpy(y) for y in outputs])


def _in_order(named: Mapping[str, torch.Tensor], names: list[str]) -> list[torch.Tensor]:
    """Inputs by keyword in the order of those that the file takes behind the positional ones."""
    if named and set(named) != set(names):
        raise SparqcError(
            f"evaluate() gave the inputs {', '.join(named)} by keyword; the compiled model takes "
            + ", ".join(names)
        )
    return [named[name] for name in names if name in named]


def _end_of(slot: Any) -> tuple[str, str]:
    """Name and dtype of an input of onnxruntime's."""
    return slot.name, "f16" if slot.type == "tensor(float16)" else ""


def _check_shape(name: str, wanted: list[int | str | None], tensor: torch.Tensor) -> None:
    """Say more than onnxruntime does where a fixed dimension meets another size."""
    given = tuple(tensor.shape)
    fits = len(given) == len(wanted) and all(
        not isinstance(w, int) or w == g for w, g in zip(wanted, given, strict=True)
    )
    if fits:
        return
    fixed = bool(wanted) and isinstance(wanted[0], int) and bool(given) and wanted[0] != given[0]
    hint = (
        "the compiled model has a fixed batch: compile without --static, or let evaluate() use "
        f"batches of {wanted[0]}"
        if fixed
        else "evaluate() has to give the shapes that the example inputs have"
    )
    raise SparqcError(
        f"evaluate() gave the input {name!r} the shape {list(given)}; the compiled model takes "
        f"[{', '.join(str(w) for w in wanted)}]",
        hint=hint,
    )

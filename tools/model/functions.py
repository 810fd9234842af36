"""What the code of a model offers: the model, example inputs, calibration data, an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.model.user_code import RandomStream, UserCode, definition_span

TensorBatch = tuple[Tensor, ...]
TensorBatches = Callable[[], Iterator[TensorBatch]]
Evaluate = Callable[[Callable[..., Tensor]], Mapping[str, float]]

_END = object()


@dataclass(frozen=True)
class ModelFunctions:
    """The functions that were found; those that a model need not have are None."""

    code: UserCode
    #: The file, where the model is one.
    path: Path | None
    #: Makes the model, or is the model.
    maker: Any
    #: What to call it in messages: "model() of model.py".
    title: str
    inputs: Callable[[], object] | None = None
    batches: Callable[[], object] | None = None
    scores: Callable[..., object] | None = None
    trainer: Callable[..., object] | None = None
    #: Gives the training batches of an epoch: (inputs..., target), or the inputs alone.
    epochs: Callable[..., object] | None = None
    #: Takes what the network gives and a target, gives the loss.
    criterion: Callable[..., object] | None = None

    def make(self) -> nn.Module:
        """The model in evaluation mode, with the same random weights each time."""
        made = self.maker
        if not isinstance(made, nn.Module):
            made = self.code.call(made, f"{self.title}")
        if isinstance(made, nn.Module):
            return made.eval()
        raise SparqcError(
            f"{self.title} returned {type(made).__name__}, not a torch.nn.Module",
            span=definition_span(self.maker),
            hint="return the network itself",
        )

    @property
    def has_inputs(self) -> bool:
        """Whether the code offers example inputs."""
        return self.inputs is not None

    def no_inputs(self) -> UsageError:
        """The error where neither the code nor the person gives example inputs."""
        own = "def example_inputs(): return (torch.randn(8, 3, 224, 224),)"
        where = f"add to {self.code.name}: {own}\n  or " if self.path else ""
        hint = f"{where}describe each input: --input x:f32[8,3,224,224]"
        return UsageError(f"{self.code.name} offers no example inputs", hint=hint)

    def example_inputs(self) -> TensorBatch | dict[str, Tensor]:
        """The example inputs, by position or by keyword.

        SparqcError where they are neither a tuple nor a dict of tensors.
        """
        assert self.inputs is not None
        title = f"example_inputs() of {self.code.name}"
        found = self.code.call(self.inputs, title)
        if isinstance(found, Mapping) and found and _are_tensors(found.values()):
            return {str(name): tensor for name, tensor in found.items()}
        return _tensors(found, f"{title} returned", self.inputs)

    def calibration(self, count: int, names: Sequence[str] = ()) -> TensorBatches | None:
        """The calibration batches, each checked to hold `count` tensors; dicts go by `names`."""
        return None if self.batches is None else lambda: self._checked_batches(count, names)

    def _checked_batches(self, count: int, names: Sequence[str]) -> Iterator[TensorBatch]:
        assert self.batches is not None
        title = f"calibration() of {self.code.name}"
        stream = RandomStream()
        with self.code.running(title), stream.active():
            iterator = iter(self.batches())  # type: ignore[call-overload]
        number = 0
        while True:
            with self.code.running(title), stream.active():
                found = next(iterator, _END)
            if found is _END:
                return
            number += 1
            found = self._in_order(found, names, f"{title} gave as batch {number}")
            batch = _tensors(found, f"{title} gave as batch {number}", self.batches)
            if len(batch) != count:
                raise SparqcError(
                    f"{title} gave {len(batch)} tensors as batch {number}; the model takes {count}",
                    span=definition_span(self.batches),
                    hint="yield the inputs of the model only, without labels",
                )
            yield batch

    def _in_order(self, found: object, names: Sequence[str], what: str) -> object:
        """The tensors of a batch that is a dict, in the order of the inputs."""
        if not isinstance(found, Mapping):
            return found
        if set(found) == set(names):
            return tuple(found[name] for name in names)
        raise SparqcError(
            f"{what} tensors for {', '.join(map(str, found))}; the model takes {', '.join(names)}",
            span=definition_span(self.batches),
            hint="yield the inputs of the model only, without labels",
        )

    @property
    def evaluate(self) -> Evaluate | None:
        """Runs the person's evaluation; SparqcError where it gives no figures by name."""
        return None if self.scores is None else self._evaluate

    def _evaluate(self, run: Callable[..., Tensor]) -> Mapping[str, float]:
        assert self.scores is not None
        title = f"evaluate() of {self.code.name}"
        found = self.code.call(self.scores, title, run)
        if isinstance(found, Mapping) and all(isinstance(v, (int, float)) for v in found.values()):
            return {str(name): float(value) for name, value in found.items()}
        raise SparqcError(
            f"{title} returned {_kinds(found)}, not figures by name",
            span=definition_span(self.scores),
            hint='return a dict: {"top-1": 91.8}',
        )

    @property
    def train(self) -> Callable[[nn.Module], object] | None:
        """Runs the person's training."""
        trainer = self.trainer
        if trainer is None:
            return None
        title = f"train() of {self.code.name}"
        return lambda module: self.code.call(trainer, title, module)


def _tensors(found: object, what: str, function: object) -> TensorBatch:
    if isinstance(found, (tuple, list)) and found and _are_tensors(found):
        return tuple(found)
    raise SparqcError(
        f"{what} {_described(found)}, not a tuple of tensors",
        span=definition_span(function),
        hint="one input is a tuple too: (images,)",
    )


def _are_tensors(items: Iterable[object]) -> bool:
    return all(isinstance(item, Tensor) for item in items)


def _described(found: object) -> str:
    if isinstance(found, (tuple, list)):
        return f"({', '.join(type(item).__name__ for item in found)})"
    return type(found).__name__


def _kinds(found: object) -> str:
    """Of what type a value is; for a mapping, of what types its values are."""
    if not isinstance(found, Mapping):
        return type(found).__name__
    return ", ".join(f"{name!r}: {type(value).__name__}" for name, value in found.items())

"""The default training loop: warm-up and cosine, distillation, checkpoints, any number of ranks."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparqc.capture.checks import first_line, user_line
from sparqc.errors import SparqcError
from sparqc.ranks.process_group import add_up, told_by_all
from sparqc.ranks.ranks import Ranks, together
from sparqc.tools.tune.data import TrainingBatch, TrainingData, tensor_text
from sparqc.tools.tune.display import Display, EpochLine
from sparqc.tools.tune.interrupt import Interrupted, StopRequest
from sparqc.tools.tune.loss import Loss, distance, floats
from sparqc.tools.tune.moving_average import MovingAverage
from sparqc.tools.tune.optimizer import make_optimizer
from sparqc.tools.tune.processes.gradients import SharedGradients
from sparqc.tools.tune.processes.shared_norm import Sharing, shared_batch_norms
from sparqc.tools.tune.recipe import Recipe
from sparqc.tools.tune.schedule import learning_rate
from sparqc.tools.tune.state.checkpoint import Checkpoint
from sparqc.tools.tune.state.position import Position, averages, pack, unpack
from sparqc.tools.tune.state.store import Store
from sparqc.tools.tune.steady import seed_everything


@dataclass
class Loop:
    """Trains one module for one stage, from a checkpoint or from its start.

    Every rank runs one, on the same weights.  What the weights are after a step follows from what
    they were before, the seed and the number of the step alone: a run that was killed and resumed
    ends with the same bits as one that went through.
    """

    stage: str
    module: nn.Module
    #: The dense model in eval mode, where its outputs are part of the loss.
    teacher: nn.Module | None
    criterion: Loss
    data: TrainingData
    recipe: Recipe
    ranks: Ranks
    device: torch.device
    store: Store
    display: Display
    #: How many batches an epoch has: see `batches_an_epoch`.
    batches: int
    #: Steps from one checkpoint to the next; there is one at the end of each epoch, too.
    save_every: int = 500
    #: Plain data to keep in every checkpoint.
    extra: Mapping[str, Any] = field(default_factory=dict)
    optimizer: torch.optim.Optimizer = field(init=False)
    _at: Position = field(init=False, default_factory=Position)
    _last: TrainingBatch | None = field(init=False, default=None)
    _sharing: Sharing = field(init=False, default_factory=Sharing)
    _gradients: SharedGradients = field(init=False)
    _average: MovingAverage = field(init=False)

    def run(self, start: Checkpoint | None = None) -> None:
        """Train until the last epoch has ended.

        Raises:
            SparqcError: where the loss is not finite, the person's code fails, the ranks have
                different batches, or the checkpoint does not fit.
            Interrupted: behind the step in which Ctrl-C or SIGTERM came; the state is kept.
        """
        self.optimizer = make_optimizer(self.module, self.recipe)
        self._average = MovingAverage(self.module, self.recipe.ema)
        gradients = SharedGradients(self.module, self.ranks).active()
        sharing = shared_batch_norms(self.module, self.ranks)
        with StopRequest() as stop, sharing as self._sharing, gradients as self._gradients:
            if start is not None:
                self._at = self._resume(start)
            else:
                self._save()  # what led here may have taken long
            self.module.train()
            while self._at.epoch < self.recipe.epochs:
                self._epoch(stop)
            if add_up([float(stop.asked)], self.ranks)[0]:
                self._stop()
        self._average.take()
        self.module.eval()

    # -- the start ------------------------------------------------------------------------------

    def _resume(self, start: Checkpoint) -> Position:
        known = start.state.get("batches")
        if known != self.batches:
            raise SparqcError(
                f"training() gives {self.batches} batches an epoch, and gave {known} in the run "
                "that is to be resumed",
                hint="resume with the same data, or start anew in another folder: --checkpoint DIR",
            )
        self._average.restore(averages(start))
        return unpack(start, self.module, self.optimizer)

    # -- an epoch -------------------------------------------------------------------------------

    def _epoch(self, stop: StopRequest) -> None:
        first, began = self._at, time.perf_counter()
        what = f"{self.stage} epoch {first.epoch + 1}/{self.recipe.epochs}"
        with self.display.bar() as progress:
            for batch, sizes in self._given(stop):
                self._step(batch, sizes)
                progress(self._at.index, self.batches, what)
                if self._at.step % self.save_every == 0:
                    self._save()
        self._say(first, time.perf_counter() - began)
        self._at = self._at.next_epoch()
        self._save()

    def _given(self, stop: StopRequest) -> Iterator[tuple[TrainingBatch, list[int]]]:
        """The batches of the epoch that were not seen yet, and how many samples each rank has; all
        ranks have one, or none has."""
        batches = iter(self.data.epoch(self._at.epoch))
        last = None
        for last in itertools.islice(batches, self._at.index):  # noqa: B007
            pass
        if last is not None:
            self._require_same(last)
        while (found := self._next(batches, stop)) is not None:
            yield found
        if self._at.index != self.batches:
            raise self._another_length(str(self._at.index or "no"))

    def _next(
        self, batches: Iterator[TrainingBatch], stop: StopRequest
    ) -> tuple[TrainingBatch, list[int]] | None:
        """The next batch; on every rank the same happens: a batch, the end, an error, a stop."""
        batch, failure = None, None
        try:
            batch = next(batches, None)
        except SparqcError as error:
            failure = error
        size = 0 if batch is None else batch.size
        told = told_by_all([size, failure is not None, stop.asked], self.ranks)
        sizes = [int(size) for size, _, _ in told]
        if any(failed for _, failed, _ in told):
            with together(self.ranks):
                if failure:
                    raise failure
        if any(stopped for _, _, stopped in told):
            self._stop()
        if any(sizes) and not all(sizes):
            raise self._uneven(batch is not None)
        if batch is None:
            return None
        if self._at.index == self.batches:
            raise self._another_length("more")
        return batch, sizes

    def _require_same(self, last: TrainingBatch) -> None:
        count, _, known = self._at.batch.partition(" ")
        if count != str(self.ranks.count) or known == last.hash():
            return  # each of another number of ranks has another part
        self.display.say(
            f"note: {self.data.title} gives other batches than in the run that is resumed, "
            "which therefore does not end with the same weights; let their order follow from "
            "torch's, numpy's or Python's random numbers, which are seeded for each epoch"
        )

    def _uneven(self, mine: bool) -> SparqcError:
        has = "has" if mine else "has no"
        return SparqcError(
            f"rank {self.ranks.index} {has} batch {self._at.index + 1} of epoch "
            f"{self._at.epoch + 1}, unlike other ranks",
            hint="training() has to give every rank equally many",
        )

    def _another_length(self, count: str) -> SparqcError:
        return SparqcError(
            f"{self.data.title} gave {count} batches in epoch {self._at.epoch + 1}, where "
            f"{self.batches} were announced: the learning rate is laid out for so many",
            hint="give equally many in each epoch, as many as their len() says",
        )

    # -- a step ---------------------------------------------------------------------------------

    def _step(self, batch: TrainingBatch, sizes: list[int]) -> None:
        at = self._at
        rate = self._rate(at.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        seed_everything(self.recipe.seed, self.stage, at.step, self.ranks.index)
        self.optimizer.zero_grad(set_to_none=True)
        self._sharing.on = batch.part
        with self._explained(batch, "the model fails in train mode"):
            loss = self._gradients_of(batch, sizes)
        self._gradients.finish()
        mine, norm = torch.stack([loss, self._clip().to(loss.dtype)]).tolist()
        total = sum(sizes)
        mean = add_up([mine * batch.size], self.ranks)[0] / total
        if not math.isfinite(mean):
            raise self._diverged("the loss", mean, rate, batch)
        if not math.isfinite(norm):
            raise self._diverged("the norm of the gradients", norm, rate, batch)
        self.optimizer.step()
        self._average.follow()
        self._at, self._last = at.after(mean, total), batch

    def _gradients_of(self, batch: TrainingBatch, sizes: list[int]) -> Tensor:
        """The mean loss over this rank's samples, which are gone through in equally many parts on
        each rank; their gradients are added up."""
        parts = batch.cut(min(self.recipe.accumulate, *sizes))
        losses = []
        for index, part in enumerate(parts):
            loss = self._loss(part.to(self.device), last=index == len(parts) - 1)
            losses.append(loss.detach() * (part.size / batch.size))
            # The mean over all samples is the mean of the ranks' means, each with its weight.
            self._gradients.backward(loss * (part.size * self.ranks.count / sum(sizes)))
        return torch.stack(losses).sum()

    @contextmanager
    def _explained(self, batch: TrainingBatch, what: str) -> Iterator[None]:
        """What the person's network raises says on which batch it did."""
        try:
            yield
        except SparqcError:
            raise
        except Exception as error:
            given = ", ".join(tensor_text(x) for x in batch.inputs)
            target = "" if batch.target is None else f", target {tensor_text(batch.target)}"
            raise SparqcError(
                f"{user_line(error)}{what} on batch {self._at.index + 1} of epoch "
                f"{self._at.epoch + 1} ({given}{target}): {first_line(error)}",
                hint="check the shapes and types that training() gives; where memory is short, "
                "give smaller batches, or --accumulate",
            ) from error

    def _loss(self, batch: TrainingBatch, last: bool) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.autocast):
            outputs = self._gradients(*batch.inputs, last=last)
            wanted = self._wanted(batch)
        share = self.recipe.distill if batch.target is not None else 1.0
        terms: list[Tensor] = []
        if batch.target is not None and share < 1:
            terms.append((1 - share) * self.criterion(outputs, batch.target))
        if share > 0:
            terms.append(share * distance(outputs, wanted, self.recipe))
        return torch.stack(terms).sum()

    def _wanted(self, batch: TrainingBatch) -> Any:
        """What the dense model gives, where that is part of the loss."""
        if self.teacher is None or (batch.target is not None and self.recipe.distill == 0):
            return None
        with torch.no_grad(), self._explained(batch, "the dense model fails in eval mode"):
            return self.teacher(*batch.inputs)

    def _clip(self) -> Tensor:
        found = [p for p in self.module.parameters() if p.grad is not None]
        limit = self.recipe.clip or math.inf
        return nn.utils.clip_grad_norm_(found, limit)

    def _rate(self, step: int) -> float:
        total = self.recipe.epochs * self.batches
        warmup = round(self.recipe.warmup * self.batches)
        return learning_rate(step, total, warmup, self.recipe.lr)

    def _diverged(self, what: str, value: float, rate: float, batch: TrainingBatch) -> SparqcError:
        at = self._at
        cause = self._bad_data(batch)
        return SparqcError(
            f"{what} is {value} in step {at.step + 1} of the stage {self.stage} (epoch "
            f"{at.epoch + 1}, batch {at.index + 1}), at a learning rate of {rate:.3g}"
            + (f": {cause}" if cause else ""),
            hint=(
                f"look at what training() gives; the checkpoints in {self.store.folder} are of the "
                "steps before"
                if cause
                else "train with a smaller --lr, or a smaller --clip; the checkpoints in "
                f"{self.store.folder} are of the steps before"
            ),
        )

    def _bad_data(self, batch: TrainingBatch) -> str:
        """What is not finite before anything has trained on it; "" where all is."""
        if not all(map(_finite, batch.inputs)):
            return "its inputs hold numbers that are NaN or infinite"
        if batch.target is not None and not _finite(batch.target):
            return "its target holds numbers that are NaN or infinite"
        if not all(map(_finite, floats(self._wanted(batch.to(self.device))))):
            return "the dense model gives NaN or infinite numbers for it"
        return ""

    # -- what is kept and said ------------------------------------------------------------------

    def _stop(self) -> None:
        self._save()
        raise Interrupted(
            f"stopped behind step {self._at.step} of the stage {self.stage}, whose state is kept "
            f"in {self.store.folder}",
            hint="go on with the same command and --resume",
        )

    def _save(self) -> None:
        if self.ranks.index:
            return
        at = self._at
        if self._last is not None and at.index:
            at = replace(at, batch=f"{self.ranks.count} {self._last.hash()}")
        extra = {**self.extra, "batches": self.batches}
        self.store.save(
            self.stage, at.step, pack(self.module, self.optimizer, at, extra, self._average.kept)
        )

    def _say(self, first: Position, seconds: float) -> None:
        at = self._at
        steps = at.step - first.step
        left = self.recipe.epochs * self.batches - at.step
        line = EpochLine(
            stage=self.stage,
            epoch=at.epoch + 1,
            epochs=self.recipe.epochs,
            loss=at.loss / max(1, at.samples),
            lr=self._rate(at.step - 1),
            samples=at.samples - first.samples,
            seconds=seconds,
            left=seconds / steps * left if steps and left > 0 else None,
        )
        self.display.say(str(line))


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())

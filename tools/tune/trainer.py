"""Training a stage by the person's own train()."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from sparqc.capture.checks import check_weights
from sparqc.errors import SparqcError
from sparqc.tools.model.functions import ModelFunctions
from sparqc.tools.model.user_code import definition_span
from sparqc.tools.tune.interrupt import Interrupted


def run_trainer(functions: ModelFunctions, module: nn.Module, stage: str) -> None:
    """Let train(module) of a model.py train a module in place; one that takes `stage` is told it.

    Raises:
        SparqcError: where train() fails, gives another module, or leaves weights that are not
            finite.
        Interrupted: on Ctrl-C.
    """
    assert functions.trainer is not None
    title = f"train() of {functions.code.name}"
    module.train()
    try:
        given = functions.code.call(_told(functions.trainer, stage), title, module)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"stopped in {title}, in the stage {stage}",
            hint="the same command with --resume starts this stage anew; what train() keeps "
            "itself, it has to go on from itself",
        ) from error
    if given is not None and given is not module:
        raise SparqcError(
            f"{title} returned {type(given).__name__}",
            span=definition_span(functions.trainer),
            hint="train the module that it is given, in place, and return nothing",
        )
    check_weights(module)
    module.eval()


def _told(trainer: Callable[..., Any], stage: str) -> Callable[[nn.Module], Any]:
    try:
        asks = "stage" in inspect.signature(trainer).parameters
    except (TypeError, ValueError):
        asks = False
    return (lambda module: trainer(module, stage=stage)) if asks else trainer

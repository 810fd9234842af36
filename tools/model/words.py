"""The words of a command line, checked before torch is imported and a model is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparqc.errors import UsageError
from sparqc.job.options import Options

if TYPE_CHECKING:
    from sparqc.ir.types import Level
    from sparqc.pipeline.steps import Pipeline

#: Stands for the end of the pipeline.
END = "the end"
#: The endings of models that are no code of a person's own.
_DATA = (".onnx", ".pt2")


def runs_code(model: str) -> bool:
    """Whether a model is code: neither an ONNX file nor an exported program."""
    return not model.endswith(_DATA)


def check_words(model: str, options: Options, imports: tuple[str, ...], after: str | None) -> None:
    """Raises UsageError where a word is wrong whatever the model is, and where the pipeline has no
    pass `after`.

    A run directory has its own words; the names of passes wait where Python that is still to be
    imported may register some: model.py, or one of the `imports`.
    """
    if Path(model).is_dir():
        return
    from sparqc.job.words import require_words

    level: Level = "onnx" if model.endswith(".onnx") else "fx"
    pipeline = require_words(options, level, runs_code=bool(imports) or runs_code(model))
    if pipeline is not None and not options.patterns:
        up_to(pipeline.for_level(level)[0], after)


def up_to(pipeline: Pipeline, last: str | None) -> Pipeline:
    """The part of a pipeline that ends with the last pass of that name: none of it for None, all
    of it for END.

    Raises UsageError where no pass of the pipeline has the name.
    """
    if last is None or last == END:
        return pipeline if last else type(pipeline)(())
    ends = [i for i, item in enumerate(pipeline.items) if any(s.name == last for s in item.steps)]
    if not ends:
        raise UsageError(f"the pipeline has no pass {last!r}", hint=f"it is: {pipeline}")
    return type(pipeline)(pipeline.items[: ends[-1] + 1])

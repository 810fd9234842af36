"""The words of the options, read before any model is: what is misspelled is said at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparqc.declared.knobs import parse_knobs
from sparqc.declared.targets import Precision, Profile, default_profile, profile
from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.boundary import BoundaryTypes
from sparqc.ir.types import Level
from sparqc.job.layers import LayerChoice, read_layers
from sparqc.job.options import Options
from sparqc.lang.ast import Declaration, PatternFile, RuleDecl
from sparqc.lang.check.file_name import pass_name
from sparqc.passes.select import refuse_dense_word
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.catalogue import UnknownPass, passes
from sparqc.pipeline.installed import installed


@dataclass(frozen=True)
class Words:
    """What the options say, as far as it can be said without a model."""

    pipeline: pipelines.Pipeline
    target: Profile
    precision: Precision
    boundary: BoundaryTypes
    knobs: Mapping[str, str]
    choices: tuple[LayerChoice, ...]


def read_words(options: Options, level: Level, user_files: Sequence[PatternFile] = ()) -> Words:
    """The words for a model that comes in at a level; `user_files` are what `patterns` names.

    Raises UsageError for a word that is not known, and for wishes that do not go together.
    """
    refuse_dense_word(options.exclude, "--exclude")
    target = profile(options.target) if options.target else default_profile()
    knobs = parse_knobs(",".join(options.knobs))
    boundary = BoundaryTypes.parse(options.io)
    choices = read_layers(options.layers) if options.layers is not None else ()
    pipeline = _with_user_passes(pipelines.parse(options.passes), user_files)
    pipeline.for_level(level)[0].check(level)
    precision = _precision(options.float, target, pipeline)
    _check_carried_out("--float fp16", options.float == "fp16", "float", pipeline)
    _check_carried_out(f"--io {options.io}", not boundary.is_plain, "io", pipeline)
    return Words(pipeline, target, precision, boundary, knobs, choices)


def require_words(options: Options, level: Level, *, runs_code: bool) -> pipelines.Pipeline | None:
    """The pipeline; None where it names a pass that may become known yet: `runs_code` says that
    Python of a person's own is still to be imported, and pattern files are not read here.

    Raises UsageError as `read_words` does.
    """
    try:
        pipeline = read_words(options, level).pipeline
    except UnknownPass:
        if runs_code or options.patterns:
            return None
        raise
    if not options.patterns:
        declared = (d for file in installed() for d in file.declarations)
        check_skipped(options.skip, pipeline, declared)
    return pipeline


def check_skipped(
    names: Iterable[str], pipeline: pipelines.Pipeline, declarations: Iterable[Declaration]
) -> None:
    """Raises UsageError for a name that would leave out nothing, which is easily overlooked."""
    known = {step.name for step in pipeline.steps} | {d.name for d in declarations}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"the pipeline is: {pipeline}"
            raise UsageError(
                f"skip: no pass of the pipeline and no declaration is named {name!r}", hint=hint
            )


def _precision(
    wish: Literal["", "fp32", "fp16"], target: Profile, pipeline: pipelines.Pipeline
) -> Precision:
    """The type of what is not quantized; where nothing is, or no pass sets it, and nobody asked for
    another, that of the model."""
    if wish or (pipeline.quantizes and pipeline.carries_out("float")):
        return target.require_precision(wish)
    return "fp32"


def _check_carried_out(
    setting: str, is_set: bool, option: str, pipeline: pipelines.Pipeline
) -> None:
    """Raises UsageError for a wish that no pass of the pipeline looks at."""
    if is_set and not pipeline.carries_out(option):
        able = ", ".join(n for n, cls in passes().items() if option in cls.carries_out)
        raise UsageError(
            f"{setting}: no pass of the pipeline does that: {pipeline}",
            hint=f"add one, behind the export: {able}",
        )


def _with_user_passes(
    pipeline: pipelines.Pipeline, user_files: Sequence[PatternFile]
) -> pipelines.Pipeline:
    """The pipeline with the passes of a person's own files, where it does not name them itself.

    They run first, or, where their rules are for ONNX only, right behind the export.
    """
    named = {step.name for step in pipeline.steps}
    for file in user_files:
        rules = [d for d in file.declarations if isinstance(d, RuleDecl)]
        name = pass_name(file)
        if not rules or name in named:
            continue
        onnx_only = all(rule.levels == ("onnx",) for rule in rules)
        borders = [
            i for i, item in enumerate(pipeline.items) if any(s.cls.gives for s in item.steps)
        ]
        at = borders[0] + 1 if onnx_only and borders else 0
        pipeline = pipelines.Pipeline(
            (*pipeline.items[:at], pipelines.Step(name), *pipeline.items[at:])
        )
    return pipeline

"""What a shell completes behind each option and argument.

A Tab waits for the answer, so nothing here imports torch or a pass: names of passes and
declarations are read off their texts.  A table that is broken completes nothing, and its own
command says why.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from sparqc.errors import SparqcError

#: A word that may stand there, and what it means.
Words = Iterable[tuple[str, str]]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_DECLARED = re.compile(r"^(op|rule|fusion|share|precision|check) ([\w.]+)", re.MULTILINE)
_PASS = re.compile(r'^@register$.*?^class .*?^    name(?:: str)? = "([a-z0-9-]+)"', re.M | re.S)
#: In a pipeline: what stands in front of the word that is being written.
_WRITTEN = re.compile(r".*(?:[,(]\s*[-+]?|@(?:after|before|instead)=)|[-+]", re.DOTALL)


def completes(words: Callable[[click.Context], Words]) -> Complete:
    """The completion by words that depend on what else stands in the command."""

    @functools.wraps(words)
    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return _beginning(words, context, incomplete)

    return complete


def files(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete files and folders."""
    return [CompletionItem(incomplete, type="file")]


def folders(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete folders."""
    return [CompletionItem(incomplete, type="dir")]


def pipeline(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The last word of a pipeline, behind a comma, an edit or a bracket: a pass or a preset."""
    written = _WRITTEN.match(incomplete)
    before = written[0] if written else ""
    found = _beginning(_steps, context, incomplete[len(before) :])
    return [CompletionItem(before + item.value, help=item.help) for item in found]


@completes
def passes(context: click.Context) -> Words:
    """Passes and presets."""
    return _steps(context)


@completes
def targets(context: click.Context) -> Words:
    """Names of targets."""
    from sparqc.declared.targets import profiles

    return [(profile.name, profile.doc) for profile in profiles().values()]


@completes
def gpus(context: click.Context) -> Words:
    """Names of GPUs."""
    from sparqc.declared.gpus import gpus

    return [(name, gpu.doc) for name, gpu in gpus().items()]


@completes
def knobs(context: click.Context) -> Words:
    """A knob with each of its values; one that is a number with its default."""
    from sparqc.declared.knobs import knobs

    for knob in knobs().values():
        for value in knob.values or (knob.default,):
            yield f"{knob.name}={value}", knob.doc


@completes
def witnesses(context: click.Context) -> Words:
    """Names of real engines."""
    from sparqc.predict.witnesses import witnesses

    return [(witness.name, witness.head.network) for witness in witnesses().values()]


@completes
def operators(context: click.Context) -> Words:
    """Names of operators."""
    from sparqc.ir.vocabulary.table import default_table

    table = default_table()
    return [(name, table.require(name).doc) for name in table.names]


@completes
def natives(context: click.Context) -> Words:
    """Names of natives that are installed."""
    from sparqc.declared.natives import natives

    return [(name, native.doc.partition("\n")[0]) for name, native in natives().items()]


@completes
def declarations(context: click.Context) -> Words:
    """Rules, fusions, shares and the like, of installed pattern files and of `--patterns`."""
    return _declared(context)


@completes
def skippable(context: click.Context) -> Words:
    """What `--skip` leaves out."""
    return [*pass_names(), *_declared(context)]


#: What completes the options that `sparqc.job.options.Options` and its kin declare, by their names.
OPTIONS: Mapping[str, Complete] = {
    "passes": pipeline,
    "target": targets,
    "knobs": knobs,
    "skip": skippable,
    "imports": files,
}


def pass_names() -> Iterator[tuple[str, str]]:
    """Every installed pass, with where it stands: in Python, or as a pattern file with rules."""
    from sparqc.base.plugins import PASSES, data_files, plugins

    for plugin in plugins(PASSES):
        for path in _sources(plugin.module):
            for name in _PASS.findall(path.read_text(encoding="utf-8")):
                yield name, "a pass"
    for file in data_files(".spq"):
        if any(kind == "rule" for kind, _ in _DECLARED.findall(file.read())):
            name = file.label.rpartition("/")[2].removesuffix(".spq").replace("_", "-").lower()
            yield name, f"the rules of {file.label}"


def _sources(module: str) -> list[Path]:
    """The Python files of a module or package, which is not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        return []
    if spec.submodule_search_locations:
        folders = map(Path, spec.submodule_search_locations)
        return sorted(path for folder in folders for path in folder.rglob("*.py"))
    return [Path(spec.origin)] if spec.origin else []


def _steps(context: click.Context) -> Words:
    from sparqc.pipeline.presets import presets

    return [*((preset.name, preset.help) for preset in presets().values()), *pass_names()]


def _declared(context: click.Context) -> Words:
    from sparqc.base.plugins import data_files

    texts = {file.label: file.read() for file in data_files(".spq")}
    for path in context.params.get("patterns") or ():
        texts[str(path)] = Path(path).read_text(encoding="utf-8")
    for label, text in texts.items():
        for kind, name in _DECLARED.findall(text):
            yield name, f"{kind} of {label}"


def _beginning(
    words: Callable[[click.Context], Words], context: click.Context, incomplete: str
) -> list[CompletionItem]:
    try:
        found = dict(words(context))
    except (SparqcError, OSError, UnicodeDecodeError):
        return []
    return [
        CompletionItem(word, help=help)
        for word, help in sorted(found.items())
        if word.startswith(incomplete)
    ]

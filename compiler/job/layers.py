"""A file that says of each layer how it is kept: TOML that a person can edit.

    [[layer]]
    module = "layer1.0.conv1"   # where it stands in the model
    value = "conv_1"            # what it gives; the exact address
    keep = "int8"               # sparse-int8, int8, sparse or float

`value` or `module` names the layer; with both, both have to agree.  Other keys are figures for
people and are not read.  A layer that the file does not name is decided as without the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sparqc.base.reading import damaged, read_text
from sparqc.errors import Span, UsageError, did_you_mean
from sparqc.ir.graph import Graph, Node
from sparqc.ir.layer_names import known_names, layer_name
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.placement import Placement
from sparqc.rewrite.facts import Facts

#: 2:4 and INT8, INT8 with all weights, 2:4 in float, neither.
Keep = Literal["sparse-int8", "int8", "sparse", "float"]
_HEADER = re.compile(r"\s*\[\[\s*layer\s*\]\]")


@dataclass(frozen=True)
class LayerChoice:
    """One table of the file; `value` is the exact name once the graph is known."""

    keep: Keep
    value: str = ""
    module: str = ""
    span: Span | None = None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.module or self.value


def read_layers(path: Path) -> tuple[LayerChoice, ...]:
    """The tables of a file, in its order.

    Raises UsageError, with file, line and column, for text that is no TOML, a key of the wrong
    type, an unknown `keep`, and a layer that is named twice or not at all.
    """
    text = read_text(path, f"--layers {path}")
    with damaged(f"--layers {path}", error=UsageError):
        return _layers(text, path)


def _layers(text: str, path: Path) -> tuple[LayerChoice, ...]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(str(error), text, path) from error
    places = _Places(str(path), text.splitlines())
    tables = content.get("layer", [])
    if not isinstance(tables, list) or not tables:
        hint = "write one for each layer, as `sparqc sensitivity MODEL -o layers.toml` does"
        raise UsageError("there are no [[layer]] tables", span=places.of(0, ""), hint=hint)
    choices = tuple(_choice(table, i, places) for i, table in enumerate(tables))
    _check_once(choices, places)
    return choices


def _syntax(message: str, text: str, path: Path) -> UsageError:
    """tomllib's error with its place, which stands at the end of the message."""
    lines = text.splitlines() or [""]
    line, column = len(lines), len(lines[-1]) + 1
    if found := re.search(r" \(at line (\d+), column (\d+)\)$", message):
        line, column = int(found[1]), int(found[2])
        message = message[: found.start()]
    shown = lines[line - 1] if line <= len(lines) else ""
    span = Span(str(path), line, column, text=shown)
    return UsageError(message.removesuffix(" (at end of document)"), span=span)


@dataclass(frozen=True)
class _Places:
    """Where the tables of a file stand, which tomllib does not tell."""

    file: str
    lines: Sequence[str]

    def of(self, number: int, key: str) -> Span:
        """The value of a key of the table of that number; its header, where there is no such."""
        headers = [i for i, line in enumerate(self.lines) if _HEADER.match(line)]
        if number >= len(headers):
            return Span(self.file, 1, 1, text=self.lines[0] if self.lines else "")
        start = headers[number]
        end = (headers[number + 1 :] or [len(self.lines)])[0]
        for index in range(start, end if key else start):
            if found := re.match(rf'\s*"?{re.escape(key)}"?\s*=\s*', self.lines[index]):
                line = self.lines[index]
                written = re.match(r'"[^"]*"|\'[^\']*\'|[^\s#]*', line[found.end() :])
                width = len(written[0]) if written else 1
                return Span(self.file, index + 1, found.end() + 1, max(1, width), line)
        line = self.lines[start]
        return Span(self.file, start + 1, 1, len(line.strip()) or 1, line)


def _choice(table: object, number: int, places: _Places) -> LayerChoice:
    if not isinstance(table, Mapping):
        raise UsageError("a layer is a table", span=places.of(number, ""), hint="write [[layer]]")
    words = {key: _word(table, key, number, places) for key in ("value", "module", "keep")}
    if not (words["value"] or words["module"]):
        raise UsageError("the table names no layer", span=places.of(number, ""),
                         hint="give `value`, `module`, or both")  # fmt: skip
    if words["keep"] not in get_args(Keep):
        known = get_args(Keep)
        problem = (
            f"there is no keep = {words['keep']!r}" if "keep" in table else "`keep` is missing"
        )
        raise UsageError(
            problem,
            span=places.of(number, "keep"),
            hint=did_you_mean(words["keep"], known) if words["keep"] else f"one of: {_list(known)}",
        )
    span = places.of(number, "value" if words["value"] else "module")
    return LayerChoice(span=span, **words)  # type: ignore[arg-type]


def _list(words: Sequence[str]) -> str:
    return ", ".join(words)


def _word(table: Mapping[str, object], key: str, number: int, places: _Places) -> str:
    word = table.get(key, "")
    if not isinstance(word, str):
        raise UsageError(f"{key!r} is no text", span=places.of(number, key), hint="quote it")
    return word


def _check_once(choices: Sequence[LayerChoice], places: _Places) -> None:
    seen: dict[tuple[str, str], int] = {}
    for number, choice in enumerate(choices):
        address = ("", choice.value) if choice.value else (choice.module, "")
        if address in seen:
            first = places.of(seen[address], "value" if choice.value else "module")
            raise UsageError(
                f"the layer {choice.name!r} is named twice", span=choice.span,
                hint=f"the first table is at {first}",
            )  # fmt: skip
        seen[address] = number


# -- the graph ---------------------------------------------------------------------------------


def resolve(
    choices: Sequence[LayerChoice], graph: Graph, table: OperatorTable
) -> tuple[LayerChoice, ...]:
    """The choices with the exact names of what the layers give.

    Raises UsageError for a layer that the graph does not have, or has in another module.
    """
    nodes = {layer_name(v.name, n.origin.module): n for n in graph.nodes for v in n.outputs}
    nodes |= {v.name: n for n in graph.nodes for v in n.outputs}
    modules: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if table.has(node.op, "weighted"):
            modules.setdefault(node.origin.module, []).append(node)
    return tuple(_resolved(choice, nodes, modules) for choice in choices)


def _resolved(
    choice: LayerChoice, nodes: Mapping[str, Node], modules: Mapping[str, list[Node]]
) -> LayerChoice:
    if choice.value not in nodes and choice.value in modules and not choice.module:
        choice = replace(choice, value="", module=choice.value)
    if not choice.value:
        found = modules.get(choice.module, [])
        if len(found) == 1:
            return LayerChoice(choice.keep, found[0].output.name, choice.module, choice.span)
        problem = "has several weighted operators" if found else "has no weighted operator"
        known = [n.output.name for n in found]
        hint = f"give `value`, one of: {_list(known)}" if found else did_you_mean(
            choice.module, filter(None, modules)
        )  # fmt: skip
        raise UsageError(
            f"the module {choice.module!r} of the model {problem}", span=choice.span, hint=hint
        )
    node = nodes.get(choice.value)
    if node is None:
        layers = known_names(n for some in modules.values() for n in some)
        raise UsageError(
            f"the model has no layer that gives {choice.value!r}",
            span=choice.span,
            hint=did_you_mean(choice.value, layers),
        )
    if choice.module and choice.module != node.origin.module:
        raise UsageError(
            f"{choice.value!r} stands in the module {node.origin.module!r} of this model, not in "
            f"{choice.module!r}",
            span=choice.span,
            hint="the file is of another model, or of an older version: measure it again",
        )
    name = choice.value if any(v.name == choice.value for v in node.outputs) else node.output.name
    return replace(choice, value=name)


def selectors(
    choices: Sequence[LayerChoice],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What they leave in float, keep dense, and want 2:4, as selectors of exactly these layers."""

    def kept(*words: Keep) -> tuple[str, ...]:
        return tuple(f"%{c.value}" for c in choices if c.keep in words)

    return kept("float"), kept("int8"), kept("sparse", "sparse-int8")


def check_kept(choices: Sequence[LayerChoice], facts: Facts) -> None:
    """Compare what passes decided with the choices.

    `facts` are those of `prune` and `place`.  Raises UsageError for the first layer that does not
    run as the file says, with the reason.
    """
    for choice in choices:
        found = state(choice.value, facts)
        if found != choice.keep:
            reason = "; ".join(dict.fromkeys(_reasons(choice, facts)))
            raise UsageError(
                f"{choice.name} was to be kept {choice.keep!r}, but it is {found!r}"
                + (f": {reason}" if reason else ""),
                span=choice.span,
                hint=f"write keep = {found!r}, or change what decides it",
            )


def state(layer: str, facts: Facts) -> Keep:
    """How a layer is run by what `prune` and `place` decided."""
    placement, pruning = facts.get(Placement), facts.get(Pruning)
    int8 = placement is not None and any(row.name == layer and row.int8 for row in placement.layers)
    sparse = pruning is not None and layer in pruning.masks
    if int8:
        return "sparse-int8" if sparse else "int8"
    return "sparse" if sparse else "float"


def _reasons(choice: LayerChoice, facts: Facts) -> Iterator[str]:
    """Why it is not in INT8, or not sparse, where the choice wanted it."""
    placement, pruning = facts.get(Placement), facts.get(Pruning)
    if "int8" in choice.keep:
        if placement is None:
            yield "no pass of the pipeline places quantizers"
        else:
            yield from (r.reason for r in placement.layers if r.name == choice.value and r.reason)
    if "sparse" in choice.keep:
        if pruning is None:
            yield "no pass of the pipeline prunes"
        elif choice.value in pruning.dense:
            yield pruning.dense[choice.value].reason

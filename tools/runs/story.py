"""`sparqc why run/ NODE`: where an operator comes from, read from what a run left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparqc.errors import UsageError, did_you_mean
from sparqc.ir.layer_names import is_meant
from sparqc.report.sentence import sentence
from sparqc.tools.runs.folder import SCHEMA, RunFolder, StageFile
from sparqc.tools.runs.graph_lines import GraphLine, graph_lines, made_of_constants

#: How a listing of an engine names the ONNX nodes of a kernel in its metadata.
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")

Lines = Mapping[str, GraphLine]


def stories(run: RunFolder, word: str, after: str | None = None) -> dict[str, Any]:
    """What is known of the operators that a person's word means, as plain data.

    The word is the name of a value or of a module, a glob over either, or the name of a kernel of
    TensorRT.  One that is gone by the end is looked for in the earlier graphs, the last first.
    Raises UsageError where there is none.
    """
    graphs = {stage: graph_lines(stage.text) for stage in run.stages}
    stages = [run.stage(after)] if after else list(reversed(run.stages))
    for stage in stages:
        found = _meant(graphs[stage], word)
        if found:
            break
    else:
        names = [n for line in graphs[stages[0]].values() for n in (*line.names, line.module)]
        raise UsageError(
            f"{run.path} has no value, no module and no kernel {word!r}",
            hint=did_you_mean(word, filter(None, names)) or f"see {stages[0].path}",
        )
    constants = {name for lines in graphs.values() for name in made_of_constants(lines)}
    nodes = [_story(run, line, graphs[stage], constants) for line in found]
    return {"schema": SCHEMA, "graph": stage.path.name, "nodes": nodes}


def _meant(lines: Lines, word: str) -> list[GraphLine]:
    found = _called(lines, word)
    if found:
        return found
    from sparqc.tools.engine.listings.kernel_names import names_in

    parts = _ONNX_LAYER.findall(word) or names_in(word)
    return _once(line for part in parts for line in _called(lines, part) if line.op)


def _called(lines: Lines, word: str) -> list[GraphLine]:
    exact = word.removeprefix("%")
    if exact in lines:
        return [lines[exact]]
    return _once(
        line
        for line in lines.values()
        if line.op and any(is_meant(word, name, line.module) for name in line.names)
    )


def _once(lines: Iterator[GraphLine]) -> list[GraphLine]:
    return list({line.names: line for line in lines}.values())


def _story(run: RunFolder, line: GraphLine, lines: Lines, constants: set[str]) -> dict[str, Any]:
    return {
        "names": list(line.names),
        "text": line.code,
        "module": line.module,
        "source": line.source,
        "rules": list(line.rules),
        "events": _history(run.events, line, _own(line, lines), constants),
    }


def _own(line: GraphLine, lines: Lines) -> set[str]:
    """The names that belong to an operator: it, its constants, and the quantizers and masks in
    front of it."""
    own = set(line.names)
    stack = list(line.reads)
    while stack:
        name = stack.pop()
        read = lines.get(name)
        if read is None or name in own:
            continue
        if not read.op or read.op.startswith(("q.", "sparse.")):
            own.add(name)
            stack += read.reads
    return own


def _history(
    events: Sequence[Mapping[str, Any]], line: GraphLine, own: set[str], constants: set[str]
) -> list[Mapping[str, Any]]:
    """The events that led to it, oldest first: names are followed backwards."""
    wanted, nodes = set(own), set(line.names)
    found: list[Mapping[str, Any]] = []
    for event in reversed(events):
        before, after = event.get("before") or (), event.get("after") or ()
        if event["kind"] == "rule":
            if wanted.intersection(after):
                found.append(event)
                wanted.update(before)
                nodes.update(before)
        elif event["kind"] == "decision":
            readers = {str(slot).rpartition(".")[0] for slot in event.get("readers") or ()}
            spoken = not after and nodes.intersection(_about(event))
            if wanted.intersection(after) or nodes.intersection(readers) or spoken:
                found.append(event)
                wanted.update(constants.intersection(before))
    return found[::-1]


def _about(event: Mapping[str, Any]) -> Iterator[str]:
    """The names that a decision without a change speaks of."""
    yield str(event.get("name", ""))
    for row in event.get("said") or ():
        for key in ("layer", "value", "name"):
            if isinstance(row.get(key), str):
                yield row[key]


def story_text(found: Mapping[str, Any], stage: StageFile, last: StageFile) -> str:
    """It in lines for a person."""
    blocks = []
    for node in found["nodes"]:
        lines = [node["text"]]
        if stage.number != last.number:
            lines[0] += f"  (behind {stage.title}; later it is gone)"
        where = [f"line {node['source']}"] if node["source"] else []
        where += [f"module {node['module']}"] if node["module"] else []
        lines.append(f"  from {', '.join(where)}" if where else "  from no line of the model")
        lines += [f"  then {sentence(event)}" for event in node["events"]]
        if not node["events"]:
            lines.append("  no pass has touched it")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)

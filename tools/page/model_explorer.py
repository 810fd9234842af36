"""The graphs of a run in the JSON of model-explorer: a list of graphs, each a list of nodes.

The names of the keys are those of its `graph_builder`. What it calls a namespace is the module
path; a node's incoming edges say which output of which node each of its inputs is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sparqc.tools.page.graph_lines import StageText, stages_json

Json = dict[str, Any]


def graphs_json(stages: Sequence[StageText]) -> list[Json]:
    """One graph for each stage, called `08 place (fx)`; PatternError where a text is none."""
    known = stages_json(stages)
    rows = [[known["lines"][n] for n in stage["lines"]] for stage in known["stages"]]
    return [
        {"id": f"{stage.number:02} {stage.name} ({stage.level})", "nodes": list(_nodes(lines))}
        for stage, lines in zip(stages, rows, strict=True)
    ]


def _nodes(lines: Iterable[Mapping[str, Any]]) -> Iterator[Json]:
    """The nodes, with inputs, constants and outputs among them."""
    made: dict[str, tuple[str, str]] = {}
    for line in lines:
        names = line.get("out", ())
        if line.get("kind") == "header":
            for name, given in zip(names, line["types"], strict=True):
                made[name] = (name, "0")
                yield _node(name, "input", {**line, "types": [given], "out": [name]}, made)
        elif line.get("kind") in ("const", "node"):
            made.update((name, (names[0], str(i))) for i, name in enumerate(names))
            yield _node(names[0], line.get("op", "const"), line, made)
        elif line.get("kind") == "return":
            for name in line["in"]:
                yield _node(f"return {name}", "output", {"in": [name], "text": line["text"]}, made)


def _node(id: str, label: str, line: Mapping[str, Any], made: Mapping[str, Any]) -> Json:
    read = [name for name in line.get("in", ()) if name in made]
    said = {"line": line["text"], "source": line.get("source", ""),
            "rules": "; ".join(line.get("rules", ()))}  # fmt: skip
    return {
        "id": id,
        "label": label,
        "namespace": line.get("module", "").replace(".", "/"),
        "attrs": _pairs(said),
        "incomingEdges": [
            {
                "sourceNodeId": made[name][0],
                "sourceNodeOutputId": made[name][1],
                "targetNodeInputId": str(i),
            }
            for i, name in enumerate(read)
        ],
        "inputsMetadata": [
            {"id": str(i), "attrs": _pairs({"__tensor_tag": name})} for i, name in enumerate(read)
        ],
        "outputsMetadata": [
            {"id": str(i), "attrs": _pairs({"__tensor_tag": name, "tensor_shape": given})}
            for i, (name, given) in enumerate(_outputs(line))
        ],
    }


def _outputs(line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    types = [*line.get("types", ())]
    for i, name in enumerate(line.get("out", ())):
        yield name, types[i] if i < len(types) else ""


def _pairs(said: Mapping[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in said.items() if value]

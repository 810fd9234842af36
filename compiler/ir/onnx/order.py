"""The order of an ONNX graph's nodes, and what makes one impossible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx

from sparqc.errors import SparqcError


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Every tensor a node reads, also those its subgraphs take from around them."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in subgraphs_of(attribute):
            yield from captured_names(graph)


def subgraphs_of(attribute: onnx.AttributeProto) -> Sequence[onnx.GraphProto]:
    """The graphs that an attribute holds: none, one or several."""
    return [attribute.g] if attribute.HasField("g") else list(attribute.graphs)


def captured_names(graph: onnx.GraphProto) -> list[str]:
    """The names a subgraph reads and does not define, each once, in order."""
    defined = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    defined |= {name for node in graph.node for name in node.output}
    read = [name for node in graph.node for name in names_read(node)]
    read += [o.name for o in graph.output]
    return [name for name in dict.fromkeys(read) if name not in defined]


def sorted_nodes(graph: onnx.GraphProto) -> list[int]:
    """Indices of the nodes such that each stands behind what it reads; stable.

    Raises SparqcError where a tensor is defined twice or not at all, or nodes form a cycle.
    """
    producer = _producers(graph)
    _require_one_of_each(graph, producer)
    given = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    given |= {t.values.name for t in graph.sparse_initializer}
    reads = [_producers_read(node, producer, given) for node in graph.node]
    for output in graph.output:
        if output.name not in producer and output.name not in given:
            raise SparqcError(
                f"the graph's output {output.name!r} is defined nowhere", hint=_BROKEN
            )
    return _depth_first(reads, graph)


_BROKEN = "the model is damaged: export it anew"


def _producers(graph: onnx.GraphProto) -> dict[str, int]:
    producer: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.output:
            if name and name in producer:
                raise SparqcError(f"the tensor {name!r} is defined twice", hint=_BROKEN)
            producer[name] = index
    return producer


def _require_one_of_each(graph: onnx.GraphProto, producer: Mapping[str, int]) -> None:
    """SparqcError where two initializers have one name, or a node gives an initializer."""
    stored: set[str] = set()
    for tensor in graph.initializer:
        if tensor.name in stored or tensor.name in producer:
            raise SparqcError(f"the tensor {tensor.name!r} is defined twice", hint=_BROKEN)
        stored.add(tensor.name)


def _producers_read(node: onnx.NodeProto, producer: dict[str, int], given: set[str]) -> list[int]:
    found = []
    for name in names_read(node):
        if name in producer:
            found.append(producer[name])
        elif name not in given:
            raise SparqcError(
                f"{describe(node)} reads the tensor {name!r}, which is defined nowhere",
                hint=_BROKEN,
            )
    return found


def _depth_first(reads: list[list[int]], graph: onnx.GraphProto) -> list[int]:
    order: list[int] = []
    state = bytearray(len(reads))  # 0 new, 1 on the stack, 2 placed
    for root in range(len(reads)):
        stack = [root]
        while stack:
            index = stack[-1]
            missing = [r for r in reads[index] if state[r] != 2] if state[index] != 2 else []
            if not missing:
                stack.pop()
                if state[index] != 2:
                    state[index] = 2
                    order.append(index)
                continue
            if state[index] == 1:
                raise _cycle(reads, graph, index)
            state[index] = 1
            stack.extend(reversed(missing))
    return order


def _cycle(reads: list[list[int]], graph: onnx.GraphProto, start: int) -> SparqcError:
    """The error that names the nodes of a cycle through `start`."""
    came_from: dict[int, int] = {}
    queue = [start]
    for index in queue:
        for source in reads[index]:
            if source not in came_from:
                came_from[source] = index
                queue.append(source)
    path = [start]
    while len(path) == 1 or path[-1] != start:
        if path[-1] not in came_from:
            break
        path.append(came_from[path[-1]])
    names = _shortened([describe(graph.node[i]) for i in path])
    return SparqcError(f"the graph has a cycle: {' -> '.join(names)}", hint=_BROKEN)


def _shortened(names: list[str], most: int = 6) -> Iterable[str]:
    return names if len(names) <= most else [*names[: most - 2], "…", names[-1]]


def describe(node: onnx.NodeProto) -> str:
    """A node by its type and its name, or its first output where it has none."""
    name = node.name or next(iter(node.output), "")
    return f"{node.op_type} {name!r}" if name else node.op_type


def renamed_captures(graph: onnx.GraphProto, names: Mapping[str, str]) -> onnx.GraphProto:
    """A subgraph that reads the tensors around it under other names; the same one without any."""
    changed = {old: new for old, new in names.items() if old != new}
    if not changed.keys() & set(captured_names(graph)):
        return graph
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    captured = set(captured_names(graph))
    _rename(copy, {old: new for old, new in changed.items() if old in captured})
    return copy


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
        for attribute in node.attribute:
            for inner in subgraphs_of(attribute):
                # The names are defined nowhere in the outer one, so nothing hides them here.
                _rename(inner, names)
    for output in graph.output:
        output.name = names.get(output.name, output.name)


def domains_of(graph: onnx.GraphProto) -> set[str]:
    """The domains of every operator, those in subgraphs included; "" is ONNX's own."""
    found = {"" if node.domain == "ai.onnx" else node.domain for node in graph.node}
    inner = [g for node in graph.node for a in node.attribute for g in subgraphs_of(a)]
    return found.union(*map(domains_of, inner))

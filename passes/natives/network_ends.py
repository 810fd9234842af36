"""The two ends of a network: what lies in front of its first weights, and behind its last ones."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sparqc.declared.natives import native
from sparqc.ir.constants import is_constant
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.vocabulary.table import default_table

#: What also makes a map of predictions into another map, as segmentation networks and classifiers
#: do, beside pools and resizes; other reductions choose among classes.
_MAPS = {
    "aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default",
    "nn.reduce_mean", "nn.var", "nn.std", "nn.var_mean", "nn.std_mean",
}  # fmt: skip

_heads: WeakKeyDictionary[Graph, tuple[int, set[Value]]] = WeakKeyDictionary()


def first_convolutions(graph: Graph) -> list[Node]:
    """The convolutions between which and the inputs no operator with a weight stands."""
    found, behind = list[Node](), set[Value]()
    for node in graph.nodes:
        if node.op == "nn.conv" and node.operands["x"] not in behind:
            found.append(node)
        if has_weight(node) or not behind.isdisjoint(node.inputs):
            behind.update(node.outputs)
    return found


def has_weight(node: Node) -> bool:
    """Whether a node multiplies what the network computes by weights, or by more that it computes.

    A constant in front of a product is no weight, see `_filters`.
    """
    return _multiplies(node) and not _filters(node)


def _multiplies(node: Node) -> bool:
    return default_table().has(node.op, "weighted")


def _filters(node: Node) -> bool:
    """Whether a node multiplies a constant by what the network computes, which makes another map of
    it: a resize, say, that is written as products with the matrices of its filter."""
    first = next(node.inputs, None)
    return _multiplies(node) and first is not None and is_constant(first, default_table())


@native("is_detection_head")
def is_detection_head(c: Value) -> bool:
    """Whether a convolution without activation gives predictions that are collected with others'.

    Such a convolution reaches the outputs without passing weights, a resize or a pool; there its
    map is laid out anew or stands beside others, or has other channels than the convolution's
    input.  A network has several of them: scales, boxes and classes.

    That nothing behind it makes another map a path could say; no condition of one match counts the
    heads of a network, or holds the shape of each output that is reached against its own.
    """
    return c.producer is not None and c in _detection_heads(c.producer.graph)


def _detection_heads(graph: Graph) -> set[Value]:
    version, found = _heads.get(graph, (-1, set()))
    if version != graph.version:
        found = {n.output for n in graph.nodes if n.op == "nn.conv" and _predicts(n)}
        found = found if len(found) > 1 else set()
        _heads[graph] = graph.version, found
    return found


def _predicts(conv: Node) -> bool:
    """Whether everything behind a convolution only collects and decodes what it predicts.

    That it is collected shows in the shapes of the outputs, which each spelling of the operators in
    between has in common: what is one operator in PyTorch is several in ONNX.
    """
    if len(conv.output.shape or ()) != 4:
        return False
    table = default_table()
    collected, seen, stack = _changes_channels(conv), set[Node](), [conv.output]
    while stack:
        value = stack.pop()
        collected |= value.is_output and not _is_same_map(conv.output, value)
        for node in value.readers:
            if node in seen:
                continue
            maps = node.op in _MAPS or table.has(node.op, "spatial")
            if maps or is_layer(node) or _filters(node):
                return False
            seen.add(node)
            stack += node.outputs
    return collected


def _is_same_map(x: Value, y: Value) -> bool:
    """Whether two values have one shape, the batch aside; sizes that are symbolic may be equal."""
    if x.shape is None or y.shape is None or len(x.shape) != len(y.shape):
        return False
    pairs = zip(x.shape[1:], y.shape[1:], strict=True)
    return all(a == b or not (isinstance(a, int) or isinstance(b, int)) for a, b in pairs)


def _changes_channels(conv: Node) -> bool:
    x, y = conv.operands["x"], conv.output
    return isinstance(x, Value) and bool(x.shape and y.shape and x.shape[1] != y.shape[1])


def is_layer(node: Node) -> bool:
    """Whether a node multiplies features by weights.

    One that reads a softmax only weighs up what is predicted already, such as the expected value
    over the bins of a box edge.
    """
    x = next(node.inputs, None)
    return has_weight(node) and not (x and x.producer and x.producer.op == "nn.softmax")

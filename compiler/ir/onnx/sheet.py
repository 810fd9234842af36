"""What a node is written as in ONNX, before it has a place in a graph or a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from sparqc.ir.graph import Array, TensorType, Value, dtype_name
from sparqc.ir.onnx.infer import inferred_in, info_of, proto_of_node
from sparqc.ir.onnx.skeleton import SMALL
from sparqc.ir.onnx.types import element_type, is_complete, merged, settled
from sparqc.ir.vocabulary.operator import Emitted, OnnxEmitter


@dataclass
class Sheet(OnnxEmitter):
    """An `OnnxEmitter` that keeps what it is told."""

    opset: int
    #: Gives a name that no other tensor has.
    fresh: Callable[[str], str]
    nodes: list[Emitted] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    #: What each constant was to be called.
    hints: dict[str, str] = field(default_factory=dict)

    def add(self, emitted: Emitted) -> None:
        """Note a node."""
        self.nodes.append(emitted)

    def constant(self, array: Array, hint: str) -> str:
        """Note a constant, and give its name."""
        name = self.temp(hint)
        self.arrays[name], self.hints[name] = np.asarray(array), hint
        return name

    def temp(self, hint: str) -> str:
        """A name that no other tensor has."""
        return self.fresh(hint)

    def reads(self, output: Value | str) -> bool:
        """Whether anything reads what a node gives."""
        if isinstance(output, Value) and (output.reader_count or output.is_output):
            return True
        return any(output in node.inputs for node in self.nodes)

    def types(
        self,
        name: Callable[[Value | str], str],
        type_of: Callable[[Value], TensorType],
        opsets: Mapping[str, int],
    ) -> dict[str, TensorType]:
        """The types of what the nodes define, by name; inferred where a value does not say its.

        `name` and `type_of` tell what a value is in the graph that the nodes are for.
        """
        defined = [o for node in self.nodes for o in node.outputs if o != ""]
        stated = {name(o): settled(_stated(o), name(o)) for o in defined}
        if all(map(is_complete, stated.values())):
            return stated
        graph = onnx.GraphProto(name="types")
        for node in self.nodes:
            graph.node.append(proto_of_node(node, name, opsets))
        graph.value_info.extend(info_of(n, t) for n, t in stated.items() if element_type(t.dtype))
        for item in dict.fromkeys(i for n in self.nodes for i in n.inputs if i is not None):
            array = self.arrays.get(item) if isinstance(item, str) else item.data
            if array is not None and array.nbytes <= SMALL and array.dtype != object:
                graph.initializer.append(onnx.numpy_helper.from_array(array, name(item)))
            elif array is not None:
                type = TensorType(dtype_name(array.dtype), array.shape)
                graph.input.append(info_of(name(item), type))
            elif isinstance(item, Value) and name(item) not in stated:
                graph.input.append(info_of(name(item), type_of(item)))
        found = inferred_in(graph, opsets)
        return {n: merged(type, found.get(n, TensorType())) for n, type in stated.items()}


def _stated(output: Value | str) -> TensorType:
    return output.type if isinstance(output, Value) else TensorType()

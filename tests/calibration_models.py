"""A small residual network with quantizers that are still to be calibrated, at either level."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sparqc.declared.targets import profile
from sparqc.ir.graph import Array, Graph, Node, Origin, TensorType, Value
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.place.insert_quantizers import insert_quantizer
from sparqc.pipeline.action import Action
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Batch, Context

CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
IMAGE: tuple[int | str, ...] = ("batch", 4, 6, 6)


def context(
    batches: Iterable[Batch] | Callable[[], Iterable[Batch]] | None = None, **wishes: object
) -> Context:
    """A context with calibration data; the parts that calibration never looks at are missing."""
    given = batches if batches is None or callable(batches) else lambda: batches
    return Context(default_table(), None, None, None, calibration=given, **wishes)  # type: ignore[arg-type]


def placing_context(batches: Iterable[Batch] | Callable[[], Iterable[Batch]]) -> Context:
    """A context for passes that look at where the target wants quantizers."""
    given = batches if callable(batches) else lambda: batches
    return Context(default_table(), rulebook(), profile("tensorrt-11"), Action(), calibration=given)


def images(count: int, size: int = 4, seed: int = 0) -> list[Batch]:
    """Batches of `size` images each."""
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal((size, 4, 6, 6)).astype(np.float32)] for _ in range(count)]


@dataclass
class Residual:
    """`y = relu(relu(x) + conv(relu(conv(x))))`, and its parts by name."""

    level: Level
    graph: Graph = field(init=False)
    values: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(1)
        self.graph = graph = Graph(self.level, "residual")
        x = self.values["x"] = graph.add_input("x", TensorType("f32", IMAGE))
        for name in ("conv1", "conv2"):
            weight = rng.standard_normal((4, 4, 3, 3)).astype(np.float32)
            self.values[f"{name}.weight"] = graph.constant(weight, f"{name}.weight")
        a = self.apply("nn.conv", "conv1", x=x, w=self.values["conv1.weight"], b=None)
        b = self.apply("nn.relu", "relu1", x=a)
        c = self.apply("nn.conv", "conv2", x=b, w=self.values["conv2.weight"], b=None)
        d = self.apply("nn.relu", "relu2", x=x)
        e = self.apply("nn.add", "add", a=c, b=d)
        graph.set_outputs([self.apply("nn.relu", "relu3", x=e)], ["y"])

    def apply(self, op: str, name: str, **operands: Value | None) -> Value:
        """Append an operator of the module `name`."""
        node = self.graph.create(
            op,
            operands,
            CONV if op == "nn.conv" else {},
            types=[TensorType("f32", IMAGE)],
            names=[name],
            origin=Origin(f"block.{name}"),
        )
        self.values[name] = node.output
        return node.output

    def node(self, name: str) -> Node:
        """The operator that defines a value."""
        producer = self.values[name].producer
        assert producer is not None
        return producer

    def scale(self, name: str, shape: Sequence[int] = ()) -> Value:
        """A scale that is still to be measured."""
        return self.graph.constant(np.full(shape, np.nan, np.float32), name)

    def quantize(
        self, name: str, scale: Value, readers: Sequence[tuple[str, str]], axis: int | None = None
    ) -> None:
        """Put a quantizer between a value and some `(reader, operand)`."""
        slots = [(self.node(reader), slot) for reader, slot in readers]
        limits = (-127, 127) if self.values[name].is_const else (-128, 127)
        origin = slots[0][0].origin
        insert_quantizer(self.graph, self.values[name], scale, axis, limits, slots, origin)

    def quantize_all(self) -> dict[str, Value]:
        """Quantize both convolutions and the skip; returns the scales."""
        scales = {name: self.scale(f"{name}.scale") for name in ("x", "relu1", "relu2")}
        self.quantize("x", scales["x"], [("conv1", "x")])
        self.quantize("relu1", scales["relu1"], [("conv2", "x")])
        self.quantize("relu2", scales["relu2"], [("add", "b")])
        for name in ("conv1", "conv2"):
            weight = f"{name}.weight"
            scales[weight] = self.scale(f"{weight}.scale", (4,))
            self.quantize(weight, scales[weight], [(name, "w")], axis=0)
        self.graph.verify()
        return scales


def activations(batches: Iterable[Batch], residual: Residual) -> Iterator[dict[str, Array]]:
    """The quantized values on each batch, by torch."""
    import torch
    from torch.nn.functional import conv2d, relu

    w = torch.from_numpy(residual.values["conv1.weight"].data)
    for (x,) in batches:
        image = torch.from_numpy(x)
        yield {
            "x": x,
            "relu1": relu(conv2d(image, w, padding=1)).numpy(),
            "relu2": relu(image).numpy(),
        }

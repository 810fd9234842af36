"""How the time of matching, covering and rewriting grows with the graph.

    python benchmarks/matching.py

Chains of residual blocks (Conv, Add, ReLU, and for rewriting an Identity as well) against every
declaration that ships.  CPU time of this process, graphs built beforehand.  An exponent of 1 is
linear: ten times the operators, ten times the time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import click
import numpy as np

from sparqc.declared.targets import default_profile
from sparqc.ir.graph import Graph, TensorType, Value
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from sparqc.match.cover import cover
from sparqc.match.match import Index, Matcher
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite

TYPE = TensorType("f32", (1, 16, 4, 4))
WEIGHT = np.ones((16, 16, 1, 1), np.float32)


@click.command()
@click.option(
    "--sizes", default="1000,10000,100000", show_default=True, help="Operators in a chain."
)
def main(sizes: str) -> None:
    """Print seconds for each size, and the exponent of their growth."""
    counts = [int(size) for size in sizes.split(",")]
    passes()  # registers the natives
    context = Context(default_table(), rulebook(), default_profile(), Action())
    click.echo(f"{len(context.rules.declarations)} declarations")
    click.echo(f"{'operators':<12}" + "".join(f"{n:>10,}" for n in counts) + "   exponent")
    for name, blocks, work in (
        ("match", ("nn.conv", "nn.add", "nn.relu"), match),
        ("cover", ("nn.conv", "nn.add", "nn.relu"), covered),
        ("rewrite", ("nn.conv", "nn.add", "nn.relu", "nn.identity"), rewritten),
    ):
        seconds = [measure(work, chain(n, blocks, context.table), context) for n in counts]
        row = "".join(f"{s:>8.3f} s" for s in seconds)
        click.echo(f"{name:<12}{row}   {exponent(counts, seconds):.2f}")


def match(graph: Graph, context: Context) -> None:
    """Ask every declaration at every operator."""
    matcher = Matcher(context.rules, context.table)
    index = Index(matcher, context.rules.declarations)
    for node in graph.nodes:
        for declaration in index.at(node):
            matcher.first(declaration, node)


def covered(graph: Graph, context: Context) -> None:
    """Cover the graph with the fusions of the default target."""
    matcher = Matcher(context.rules, context.table, context.target.name)
    cover(graph, matcher, context.rules.fusions(graph.level, context.target.name))


def rewritten(graph: Graph, context: Context) -> None:
    """Apply every rule to a fixed point: one application for each fourth operator."""
    rewrite(graph, context.rules.rules(graph.level), context)


def measure(work: Callable[[Graph, Context], None], graph: Graph, context: Context) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    work(graph, context)
    return time.process_time() - started


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of log(seconds) over log(size): least squares."""
    if len(sizes) < 2:
        return math.nan
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)


def chain(size: int, block: Sequence[str], table: OperatorTable) -> Graph:
    """`size` operators: the block again and again, each Add over the input of its block."""
    graph = Graph("fx")
    value = skip = graph.add_input("x", TYPE)
    for number in range(size):
        op = block[number % len(block)]
        skip = value if op == block[0] else skip
        value = append(graph, op, value, skip, table)
    graph.set_outputs([value])
    return graph


def append(graph: Graph, op: str, value: Value, skip: Value, table: OperatorTable) -> Value:
    """One operator on a value, with the default attributes."""
    row = table.require(op)
    operands: dict[str, Value | None] = dict.fromkeys(row.operand_names)
    operands[row.operand_names[0]] = value
    if op == "nn.conv":
        operands["w"] = graph.constant(WEIGHT, "w")
    elif op == "nn.add":
        operands["b"] = skip
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
    given = attributes if op == "nn.conv" else {}
    return graph.create(op, operands, given, types=[TYPE]).output


if __name__ == "__main__":
    main()

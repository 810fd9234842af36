"""The order of nodes, of operands that commute, and of pattern files changes nothing."""

from dataclasses import replace
from functools import cache
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import cat, nn
from torch.nn import functional
from torch.nn.functional import relu, silu

from sparqc.capture.capture import capture
from sparqc.declared.targets import default_profile
from sparqc.ir.export.direct import to_onnx
from sparqc.ir.vocabulary.table import default_table
from sparqc.match.rulebook import RuleBook
from sparqc.passes.place.placement import Placement
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.installed import installed
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context
from tests.fragments.roads import Function, conv, image

TABLE = default_table()


def residuals(m, x):
    x = relu(m.a(x) + m.b(x))
    x = relu(m.c(relu(m.d(x))) + x)
    return m.e(silu(m.f(x)) + x)


def csp(m, x):
    parts = list(silu(m.a(x)).chunk(2, 1))
    parts.append(parts[-1] + silu(m.slim(parts[-1])))
    return m.wide(cat(parts, 1))


def excitation(m, x):
    y = relu(m.a(x))
    g = torch.sigmoid(m.up(relu(m.down(y.mean((2, 3), keepdim=True)))))
    return m.b(m.dw(y * g) + x)


def inception(m, x):
    x = relu(m.a(x))
    pools = functional.max_pool2d(x, 3, 1, 1), functional.avg_pool2d(x, 3, 1, 1)
    return m.wide(cat([m.down(x), m.down2(pools[0]), m.down(pools[1])], 1)), m.e(x)


def attention(m, x):
    y = x.flatten(2).transpose(1, 2)
    y = m.norm(y)
    q, k, v = m.q(y), m.k(y), m.v(y)
    y = y + m.o(torch.softmax(q @ k.transpose(1, 2) / 4, -1) @ v)
    return y + m.o(functional.gelu(m.q(y)))


def heads(m, x):
    y = silu(m.a(x))
    maps = [cat([m.box(z), m.cls(z)], 1).flatten(2) for z in (y, functional.max_pool2d(y, 2))]
    return cat(maps, 2)


FRAGMENTS = [residuals, csp, excitation, inception, attention, heads]


@cache
def network(fragment):
    """The folded graph of a fragment at either level."""
    torch.manual_seed(0)
    layers = {name: conv() for name in "abcdef"}
    layers |= {name: nn.Linear(32, 32) for name in "qkvo"}
    layers |= {"slim": conv(16, 16), "wide": conv(48), "up": conv(16, 32), "down": conv(32, 16),
               "down2": conv(32, 16), "dw": conv(groups=32), "norm": nn.LayerNorm(32),
               "box": conv(32, 64, 1), "cls": conv(32, 80, 1)}  # fmt: skip
    graph = capture(Function(fragment, **layers).eval(), (image(),)).graph
    return {"fx": graph, "onnx": to_onnx(graph.clone(), TABLE, 20, example=[image().numpy()])}


def placed(graph, book):
    """What was decided, without the order of anything."""
    context = Context(TABLE, book, default_profile(), Action())
    for name in ("fold", "place"):
        context.action.pass_(make(name), graph, context)
    graph.verify()
    plan = context.facts[Placement]
    groups = {}
    for q in plan.quantizers:
        groups.setdefault(q.scale, set()).add(q.value)
    return {
        "layers": {(row.name, row.fusion, row.int8, row.reason) for row in plan.layers},
        "quantizers": {
            (q.value, q.axis, q.reason, frozenset(r.rpartition(".")[0] for r in q.readers))
            for q in plan.quantizers
        },
        "scales": {frozenset(values) for values in groups.values()},
        "activations": sum(q.axis is None for q in plan.quantizers),
    }


@cache
def decided(fragment, level):
    """What is decided for a fragment as it stands."""
    return placed(network(fragment)[level].clone(), rulebook())


def permute(graph, random):
    """Put the nodes in another topological order, and swap operands that commute."""
    waiting, done = list(graph.nodes), set()
    while waiting:
        ready = [n for n in waiting if all(not v.producer or v.producer in done for v in n.inputs)]
        node = random.choice(ready)
        waiting.remove(node)
        done.add(node)
        graph.move_before(node, None)
        row = TABLE.get(node.op)
        for a, b in row.commutes if row else ():
            if random.random() < 0.5:
                first, second = node.operands[a], node.operands[b]
                graph.set_operand(node, a, second)
                graph.set_operand(node, b, first)


def shuffled_book(random):
    """Every declaration, in files and an order of chance."""
    book = RuleBook(table=TABLE)
    files = random.sample(installed(), len(installed()))
    for file in files:
        found = random.sample(file.declarations, len(file.declarations))
        book.add_file(replace(file, declarations=tuple(found)))
    return book


@pytest.mark.parametrize("level", ["fx", "onnx"])
@settings(max_examples=24)
@given(fragment=st.sampled_from(FRAGMENTS), seed=st.integers(0, 2**32))
def test_the_order_of_nodes_and_operands_changes_nothing(level, fragment, seed):
    other = network(fragment)[level].clone()
    permute(other, Random(seed))
    other.verify()
    assert placed(other, rulebook()) == decided(fragment, level)
    assert decided(fragment, level)["quantizers"]


@pytest.mark.parametrize("level", ["fx", "onnx"])
@settings(max_examples=12)
@given(fragment=st.sampled_from(FRAGMENTS), seed=st.integers(0, 2**32))
def test_the_order_of_files_and_declarations_changes_nothing(level, fragment, seed):
    graph = network(fragment)[level].clone()
    assert placed(graph, shuffled_book(Random(seed))) == decided(fragment, level)


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda f: f.__name__)
def test_both_levels_decide_alike(fragment):
    fx, onnx = (decided(fragment, level) for level in ("fx", "onnx"))
    reasons = [{(int8, reason) for _, _, int8, reason in p["layers"]} for p in (fx, onnx)]
    assert reasons[0] == reasons[1]
    assert fx["activations"] == onnx["activations"]

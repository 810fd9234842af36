"""Further graphs: layers in forms that are met more rarely, and what stands behind a pair."""

from __future__ import annotations

import numpy as np

from tests.agreement.graphs import Graph, graph


def behind_a_pair(g: Graph, y: str, c: int = 32) -> str:
    """A convolution that reads what something made of quantized data."""
    return g.op("Conv", y, g.weight(32, c, 3, 3), g.floats(32))


@graph()
def pool_behind_a_pair(g: Graph) -> str:
    pooled = g.op("MaxPool", g.qdq("x"), kernel_shape=[2, 2], strides=[2, 2])
    return behind_a_pair(g, pooled)


@graph()
def zeros_around(g: Graph) -> str:
    return behind_a_pair(g, g.op("Pad", g.qdq("x"), g.ints(0, 0, 1, 1, 0, 0, 1, 1)))


@graph()
def halves_around(g: Graph) -> str:
    pads = g.ints(0, 0, 1, 1, 0, 0, 1, 1)
    return behind_a_pair(g, g.op("Pad", g.qdq("x"), pads, g.floats()))


@graph()
def mirrored_around(g: Graph) -> str:
    pads = g.ints(0, 0, 1, 1, 0, 0, 1, 1)
    y = g.op("Pad", g.qdq("x"), pads, mode="reflect")
    return behind_a_pair(g, g.op("Pad", y, pads, mode="edge"))


@graph()
def repeated(g: Graph) -> str:
    return behind_a_pair(g, g.op("Tile", g.qdq("x"), g.ints(1, 1, 2, 2)))


@graph()
def reordered_channels(g: Graph) -> str:
    order = g.constant(np.arange(31, -1, -1))
    return behind_a_pair(g, g.op("Gather", g.qdq("x"), order, axis=1))


@graph()
def activation_behind_a_pair(g: Graph) -> str:
    return behind_a_pair(g, g.relu(g.qdq("x")))


@graph()
def requantized(g: Graph) -> str:
    return behind_a_pair(g, g.qdq(g.qdq("x"), 0.1))


@graph()
def pairs_of_two_scales_joined(g: Graph) -> str:
    joined = g.op("Concat", g.qdq("x"), g.qdq(g.relu("x"), 0.1), axis=1)
    return behind_a_pair(g, joined, 64)


@graph()
def channel_shuffle(g: Graph) -> str:
    y = g.op("Reshape", g.relu(g.conv("x", groups=4)), g.ints(0, 4, 8, 16, 16))
    y = g.op("Transpose", y, perm=[0, 2, 1, 3, 4])
    return g.conv(g.op("Reshape", y, g.ints(0, 32, 16, 16)))


@graph()
def pyramid_pool(g: Graph) -> str:
    parts = [g.relu(g.conv("x"))]
    for _ in range(3):
        parts.append(g.op("MaxPool", parts[-1], kernel_shape=[5, 5], pads=[2] * 4))
    return g.conv(g.op("Concat", *parts, axis=1), 128)


@graph()
def weights_in_another_layout(g: Graph) -> str:
    flat = g.op("Reshape", g.weight(32, 288), g.ints(32, 32, 3, 3))
    y = g.relu(g.op("Conv", g.qdq("x"), flat, pads=[1] * 4))
    turned = g.op("Transpose", g.weight(32, 32, 3, 3, axis=1), perm=[1, 0, 2, 3])
    return g.op("Conv", g.qdq(y), turned)


@graph(2, 16, 64)
def a_matrix_from_three_axes(g: Graph) -> str:
    matrix = g.op("Reshape", g.weight(64, 4, 8, axis=None), g.ints(64, 32))
    return g.op("MatMul", g.qdq("x"), matrix)


@graph(2, 4, 16, 64)
def stacked_matrices(g: Graph) -> str:
    y = g.relu(g.op("MatMul", g.qdq("x"), g.weight(4, 64, 32, axis=2)))
    return g.op("MatMul", g.qdq(y), g.weight(4, 32, 64, axis=None))


@graph(64, 32)
def gemm_of_turned_data(g: Graph) -> str:
    return g.op("Gemm", g.qdq("x"), g.weight(64, 32, axis=1), g.floats(32), transA=1)


@graph(32, 64)
def gemm_with_factors(g: Graph) -> str:
    weight = g.weight(64, 32, axis=1)
    return g.op("Gemm", g.qdq("x"), weight, g.floats(32), alpha=0.5, beta=2.0)


@graph(2, 16, 64)
def einsums(g: Graph) -> str:
    y = g.op("Einsum", g.qdq("x"), g.weight(64, 32, axis=1), equation="btc,cd->btd")
    return g.op("Einsum", g.qdq(y), g.weight(48, 32), equation="btc,dc->btd")


@graph(2, 16, 64)
def scales_along_the_wrong_axis(g: Graph) -> str:
    return g.op("MatMul", g.qdq("x"), g.weight(64, 64, axis=0))


@graph(2, 16, 64)
def learned_queries(g: Graph) -> str:
    queries = g.op("Expand", g.floats(1, 16, 64), g.op("Shape", "x"))
    return g.linear(g.op("Add", "x", g.linear(queries)))


@graph(2, 32, 64)
def cross_attention(g: Graph) -> str:
    keys = g.op("Split", g.linear("x", 64, 128), g.ints(64, 64), outputs=2, axis=2)
    q, k, v = (g.heads(part) for part in (g.linear("x"), keys, f"{keys}_1"))
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    return g.op("MatMul", g.op("Softmax", scores, axis=-1), v)


@graph()
def transposed_by_groups(g: Graph) -> str:
    weight = g.weight(32, 1, 2, 2, axis=None)
    return g.op("ConvTranspose", g.qdq("x"), weight, strides=[2, 2], group=32)


@graph()
def unet(g: Graph) -> str:
    fine = g.relu(g.conv("x"))
    coarse = g.op("MaxPool", fine, kernel_shape=[2, 2], strides=[2, 2])
    coarse = g.relu(g.conv(coarse, 32, 64))
    weight = g.weight(64, 32, 2, 2, axis=1)
    up = g.op("ConvTranspose", g.qdq(coarse), weight, g.floats(32), strides=[2, 2])
    return g.conv(g.op("Concat", up, fine, axis=1), 64)


@graph()
def one_long_axis(g: Graph) -> str:
    y = g.relu(g.op("Conv", g.qdq("x"), g.weight(32, 32, 1, 7), pads=[0, 3, 0, 3]))
    return g.op("Conv", g.qdq(y), g.weight(32, 32, 7, 1))


@graph()
def what_is_added_and_multiplied(g: Graph) -> str:
    y = g.op("Mul", g.conv("x"), g.floats(32, 1, 1))
    y = g.op("Add", g.conv(g.op("Add", "x", y)), g.floats(32, 1, 1))
    return g.conv(g.op("Sub", y, g.qdq("x")))

"""A factor behind a product folded into its weight and bias, and followed through layouts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.fold_factor import (
    follows_channels,
    scaled_scale,
    scaled_weight,
    stays_in_range,
)


def graph_of(text):
    return parse_statements(text, default_table(), "fx")


def factor(text, *shape):
    """Whether a factor of that shape on `v` is one for each channel of `c`, and what it is."""
    graph = graph_of(f"{text}\ny = nn.relu(v)")
    c, v, k = (graph.value(name) for name in "cvw")
    f = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
    if not follows_channels(f, v, c, k):
        return None
    ones = np.ones(c.shape[1 if c.producer.op == "nn.conv" else -1], np.float32)
    _, b = scaled_weight(k.data, ones, f, graph.value("y"), v, c, k)
    np.testing.assert_array_equal(np.unique(b), np.unique(f))
    return b


LINEAR = "x: f32[batch, 6, 4]\nw: const f32[8, 4]\nc = nn.linear(x, w)\n"
CONV = "x: f32[batch, 4, height, 6]\nw: const f32[8, 4, 1, 1]\nc = nn.conv(x, w)\n"
HEADS = LINEAR + "s: const i64[4] = [-1, 6, 2, 4]\nr = nn.reshape(c, s)\n"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (LINEAR + "v = nn.transpose(c, perm=[0, 2, 1])", (8, 1)),
        (LINEAR + "v = nn.unsqueeze(c, axes=[1])", (1, 1, 8)),
        (LINEAR + "s: const i64[4] = [-1, 2, 3, 8]\nv = nn.reshape(c, s)", (8,)),
        (HEADS + "v = nn.transpose(r, perm=[0, 2, 1, 3])", (2, 1, 4)),
        (HEADS + "v = nn.transpose(r, perm=[0, 2, 1, 3])", (2, 1, 1)),
        (HEADS + "v = nn.transpose(r, perm=[0, 2, 1, 3])", (4,)),
        (CONV + "v = nn.transpose(c, perm=[0, 2, 3, 1])", (8,)),
        (
            CONV.replace("height", "5") + "s: const i64[3] = [-1, 8, 30]\nv = nn.reshape(c, s)",
            (8, 1),
        ),
    ],
)
def test_channels_are_followed_through_layouts(text, shape):
    assert factor(text, *shape) is not None


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (LINEAR + "v = nn.transpose(c, perm=[0, 2, 1])", (6,)),
        (LINEAR + "s: const i64[3] = [-1, 8, 6]\nv = nn.reshape(c, s)", (8, 1)),
        (LINEAR + "s: const i64[2] = [-1, 48]\nv = nn.reshape(c, s)", (48,)),
        (CONV + "v = nn.transpose(c, perm=[0, 2, 3, 1])", (6, 1)),
    ],
)
def test_what_is_no_number_for_each_channel_is_refused(text, shape):
    assert factor(text, *shape) is None


@settings(max_examples=60, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 3]),
    divided=st.booleans(),
    scalar=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_grouped_transposed_convolution_takes_it_in(groups, divided, scalar, seed):
    import torch
    from torch.nn import functional as F

    channels, rng = 2 * groups, np.random.default_rng(seed)
    op = "nn.div" if divided else "nn.mul"
    graph = graph_of(
        f"x: f32[2, {channels}, 4, 4]\nw: const f32[{channels}, 3, 2, 2]\n"
        f"b: const f32[{3 * groups}]\nf: const f32[{3 * groups}, 1, 1]\n"
        f"c = nn.conv_transpose(x, w, b, groups={groups})\ny = {op}(c, f)"
    )
    c, k, y = (graph.value(name) for name in "cwy")
    w, b = (rng.standard_normal(graph.value(n).shape).astype(np.float32) for n in "wb")
    f = (rng.uniform(0.5, 2, (3 * groups, 1, 1)) * rng.choice([-1, 1])).astype(np.float32)
    f = f[:1] if scalar else f
    x = rng.standard_normal((2, channels, 4, 4))

    def run(w, b):
        tensors = (torch.from_numpy(np.asarray(a, np.float64)) for a in (x, w, b))
        return F.conv_transpose2d(*tensors, groups=groups).numpy()

    w2, b2 = scaled_weight(w, b, f, y, c, c, k)
    expected = run(w, b) / f if divided else run(w, b) * f
    np.testing.assert_allclose(run(w2, b2), expected, rtol=1e-5, atol=1e-5)


def test_the_scale_of_a_dead_channel_stays():
    graph = graph_of("x: f32[2, 4]\nw: const f32[3, 4]\nc = nn.linear(x, w)\ny = nn.relu(c)")
    c, k, y = (graph.value(name) for name in "cwy")
    s, f = np.full(3, 0.5, np.float32), np.array([0, -2, 1], np.float32)
    np.testing.assert_array_equal(scaled_scale(s, f, y, c, c, k), [0.5, 1, 0.5])


@pytest.mark.parametrize(
    ("dtype", "factor", "fits"),
    [
        (np.float32, 1e-6, True),
        (np.float16, 0.1, True),
        (np.float16, 1e-6, False),  # below the normal numbers of FP16
        (np.float16, 0.0, True),
        (np.float16, 7e4, False),
        (np.float32, np.inf, False),
        (np.float32, np.nan, False),
    ],
)
def test_a_factor_must_leave_numbers_of_the_type(dtype, factor, fits):
    graph = graph_of("x: f32[2, 4]\ny = nn.relu(x)")
    w = np.ones((3, 4), dtype)
    assert stays_in_range(w, None, np.array(factor), graph.value("y")) == fits

"""What moves codes: Concat, Split, Slice, Resize, Pad, DepthToSpace, pools (tensorrt.md §3.8 f.).

A quantizer stands behind the movement, with the scale that the values in front have for their other
readers: TensorRT moves it forward, and no pair stands around anything.
"""

import pytest
import torch
from torch import cat, nn
from torch.nn import functional
from torch.nn.functional import relu, silu

from tests.fragments.roads import Function, conv, hold, image


def test_concat_has_one_scale_for_inputs_reader_and_their_other_readers():
    def forward(m, x):
        y = relu(m.a(x))
        return m.c(cat([y, relu(m.b(y))], 1))

    net = Function(forward, a=conv(), b=conv(), c=conv(64))
    roads = hold(
        net,
        reads={"x": "conv", "relu": "conv_1", "concat": "output"},
        one_scale=["concat relu"],
    )
    assert roads.fx.scale("relu") == roads.fx.scale("concat")


def test_concat_in_float_by_a_knob():
    def forward(m, x):
        y = relu(m.a(x))
        return m.c(cat([y, relu(m.b(y))], 1))

    net = Function(forward, a=conv(), b=conv(), c=conv(64))
    reads = {"x": "conv", "relu": "conv_1", "concat": "output"}
    hold(net, reads=reads, knobs=("concat=float",))


def test_excluding_the_concat_keeps_its_inputs_apart():
    def forward(m, x):
        y = relu(m.a(x))
        return m.c(cat([y, relu(m.b(y))], 1))

    net = Function(forward, a=conv(), b=conv(), c=conv(64))
    reads = {"x": "conv", "relu": "conv_1", "concat": "output"}
    hold(net, reads=reads, exclude=("nn.concat",))


def test_concat_with_a_reader_in_float_leaves_its_inputs_alone():
    def forward(m, x):
        y = relu(m.a(x))
        z = cat([y, relu(m.b(y))], 1)
        return m.c(z), torch.softmax(z, 1)

    net = Function(forward, a=conv(), b=conv(), c=conv(64))
    hold(net, reads={"x": "conv", "relu": "conv_1", "concat": "output_0"})


def test_parts_of_a_split_have_the_scale_of_the_whole():
    def forward(m, x):
        a, b = relu(m.a(x)).split([16, 16], 1)
        return relu(m.b(a)) * relu(m.c(b))

    net = Function(forward, a=conv(), b=conv(16, 16), c=conv(16, 16))
    hold(net, reads={"x": "conv", "split": "conv_1", "split_1": "conv_2"},
         one_scale=["split split_1"])  # fmt: skip


@pytest.mark.parametrize(
    ("cut", "part"),
    [(lambda y: y.chunk(2, 1), "split_1"), (lambda y: (y[:, :16], y[:, 16:]), "slice_1")],
    ids=["chunk", "slices"],
)
def test_chunks_go_through_a_concat(cut, part):
    def forward(m, x):
        a, b = cut(silu(m.a(x)))
        return m.c(cat([a, b, silu(m.b(b))], 1))

    net = Function(forward, a=conv(), b=conv(16, 16), c=conv(48, 32))
    hold(
        net,
        reads={"x": "conv", part: "conv_1", "concat": "output"},
        one_scale=[f"concat {part}"],
    )


def test_a_chunk_of_which_one_part_is_read_in_float():
    """A Split moves codes only where every part is wanted as codes."""

    def forward(m, x):
        a, b = relu(m.a(x)).chunk(2, 1)
        return relu(m.b(a)), torch.softmax(b, 1)

    net = Function(forward, a=conv(), b=conv(16, 16))
    hold(net, reads={"x": "conv", "split": "conv_1"})


#: What stands between two convolutions: its last value, the channels in front and behind.
MOVES = {
    "max pool": (lambda y: functional.max_pool2d(y, 2), "max_pool", 32, 32),
    "slice": (lambda y: y[:, :, 1:, :-1], "slice_1", 32, 32),
    "pad with zeros": (lambda y: functional.pad(y, (1, 1, 1, 1)), "pad", 32, 32),
    "nearest": (lambda y: functional.interpolate(y, scale_factor=2), "resize", 32, 32),
    "depth to space": (lambda y: functional.pixel_shuffle(y, 2), "depth_to_space", 64, 16),
    "space to depth": (lambda y: functional.pixel_unshuffle(y, 2), "space_to_depth", 32, 128),
    "transpose": (lambda y: y.permute(0, 1, 3, 2), "transpose", 32, 32),
    "roll": (lambda y: torch.roll(y, 2, 2), "roll_1", 32, 32),
    "channel shuffle": (
        lambda y: y.reshape(-1, 2, 16, 8, 8).transpose(1, 2).reshape(-1, 32, 8, 8),
        "reshape_1", 32, 32,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_what_moves_codes_has_one_quantizer_behind_it(name):
    move, last, front, behind = MOVES[name]
    net = Function(lambda m, x: m.b(move(relu(m.a(x)))), a=conv(32, front), b=conv(behind))
    hold(net, reads={"x": "conv", last: "output"})


@pytest.mark.parametrize(
    ("name", "move"),
    [
        ("resize", lambda y: functional.interpolate(y, scale_factor=2, mode="bilinear")),
        ("pad", lambda y: functional.pad(y, (1, 1, 1, 1), value=0.5)),
    ],
    ids=["linear", "pad with 0.5"],
)
def test_what_computes_or_brings_other_numbers_in_shares_no_scale(name, move):
    """Its input has an INT8 reader too, with a scale of its own."""

    def forward(m, x):
        y = relu(m.a(x))
        return m.b(move(y)), m.c(y)

    net = Function(forward, a=conv(), b=conv(), c=conv())
    hold(net, reads={"x": "conv", name: "output_0", "relu": "output_1"})


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_zeros_mirrored_numbers_and_nearest_neighbours_share_the_scale(mode):
    def forward(m, x):
        y = relu(m.a(x))
        z = functional.interpolate(functional.pad(y, (1, 1, 1, 1), mode=mode), scale_factor=2)
        return m.b(z), m.c(y)

    net = Function(forward, a=conv(), b=conv(), c=conv())
    hold(net, reads={"x": "conv", "resize": "output_0", "relu": "output_1"},
         one_scale=["relu resize"])  # fmt: skip


def test_the_stem_keeps_convolution_relu_and_max_pool_together():
    net = nn.Sequential(conv(3, 32, 7, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
                        nn.MaxPool2d(3, 2, 1), conv())  # fmt: skip
    hold(net, image(3, 16), reads={"input": "conv", "max_pool": "output"})


def test_sppf_is_one_scale_from_the_first_convolution_to_the_last():
    def forward(m, x):
        x = silu(m.a(x))
        y = m.pool(x)
        z = m.pool(y)
        return m.b(cat([x, y, z, m.pool(z)], 1))

    net = Function(forward, a=conv(32, 16, 1), pool=nn.MaxPool2d(5, 1, 2), b=conv(64, 32, 1))
    hold(net, reads={"x": "conv", "concat": "output"})


def test_a_feature_pyramid_adds_the_coarse_map_as_codes():
    def forward(m, x, y):
        return m.c(m.a(x) + functional.interpolate(m.b(y), scale_factor=2))

    net = Function(forward, a=conv(size=1), b=conv(size=1), c=conv())
    hold(net, image(), image(size=4),
         reads={"x": "conv", "more_0": "conv_1", "resize": "add", "add": "output"})  # fmt: skip

"""The ends of a network: detection heads in float, first convolution and classifier in INT8, and
what `--exclude` means by its selectors (tensorrt.md §7)."""

import pytest
import torch
from torch import cat, nn
from torch.nn import functional
from torch.nn.functional import relu, silu

from tests.fragments.roads import Function, conv, hold, image

HEAD = "a prediction of a detection head, which loses most in INT8"


def detector(boxes, classes):
    """Two scales, each with boxes and classes; everything is collected in one tensor."""

    def forward(m, x):
        fine = silu(m.stem(x))
        coarse = silu(m.down(fine))
        maps = [cat([m.box[i](y), m.cls[i](y)], 1) for i, y in enumerate((fine, coarse))]
        rows = cat([y.flatten(2) for y in maps], 2)
        box, cls = rows.split([boxes, classes], 1)
        return cat([box, cls.sigmoid()], 1)

    heads = {"box": [conv(32, boxes, 1) for _ in range(2)],
             "cls": [conv(32, classes, 1) for _ in range(2)]}  # fmt: skip
    return Function(forward, stem=conv(3), down=conv(stride=2),
                    **{k: nn.ModuleList(v) for k, v in heads.items()})  # fmt: skip


def test_the_last_bare_convolutions_of_a_detection_head_are_float():
    hold(
        detector(32, 80),
        image(3),
        reads={"x": "conv", "silu": "conv_1"},
        floats={f"conv_{i}": HEAD for i in (2, 3, 4, 5)},
    )


def test_detection_heads_in_int8_by_a_knob():
    hold(
        detector(32, 80),
        image(3),
        reads={"x": "conv", "silu": "conv_1 conv_2 conv_3", "silu_1": "conv_4 conv_5"},
        knobs=("detection_heads=int8",),
    )


def test_raw_maps_as_outputs_are_heads_too():
    def forward(m, x):
        fine = silu(m.stem(x))
        return m.a(fine), m.b(silu(m.down(fine)))

    net = Function(forward, stem=conv(), down=conv(stride=2), a=conv(32, 48, 1), b=conv(32, 48, 1))
    hold(net, reads={"x": "conv", "silu": "conv_2"}, floats={"conv_1": HEAD, "conv_3": HEAD})


def test_a_box_that_is_an_expected_value_over_bins():
    """The convolution that weighs the bins up is no layer, and hides no head."""

    def forward(m, x):
        y = silu(m.stem(x))
        bins = m.box(y).reshape(-1, 4, 16, 64).transpose(1, 2).softmax(1)
        return cat([m.bins(bins).reshape(-1, 4, 64), m.cls(y).flatten(2).sigmoid()], 1)

    net = Function(forward, stem=conv(3), box=conv(32, 64, 1), cls=conv(32, 80, 1),
                   bins=nn.Conv2d(16, 1, 1, bias=False))  # fmt: skip
    narrow = "C or K below 16: weight [1, 16, 1, 1]"
    hold(net, image(3), reads={"x": "conv"},
         floats={"conv_1": HEAD, "conv_2": narrow, "conv_3": HEAD})  # fmt: skip


@pytest.mark.parametrize("up", [True, False])
def test_a_segmentation_head_is_int8(up):
    """It is one, or its map is resized: a classifier of pixels."""

    def forward(m, x):
        y = m.head(relu(m.a(x)))
        return functional.interpolate(y, scale_factor=2, mode="bilinear") if up else y

    net = Function(forward, a=conv(), head=conv(32, 24, 1))
    hold(net, reads={"x": "conv", "relu": "conv_1" if up else "output"})


def test_feature_maps_as_outputs_are_no_heads():
    """What keeps the number of channels makes features, as the last convolutions of a pyramid."""

    def forward(m, x):
        y = relu(m.a(x))
        return m.b(y), m.c(functional.max_pool2d(y, 2))

    net = Function(forward, a=conv(), b=conv(), c=conv())
    hold(net, reads={"x": "conv", "relu": "output_0", "max_pool": "output_1"},
         one_scale=["max_pool relu"])  # fmt: skip


def classifier():
    return nn.Sequential(conv(3), nn.ReLU(), conv(), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(32, 32))  # fmt: skip


INSIDE = {"input": "conv", "relu": "conv_1", "relu_1": "global_average_pool", "flatten": "output"}


def test_first_convolution_and_classifier_are_int8():
    hold(classifier(), image(3), reads=INSIDE)


POOL = {"global_average_pool": "not every reader of its output runs in INT8"}
SELECTORS = {
    "first_conv": ("conv", {k: v for k, v in INSIDE.items() if k != "input"}, {}),
    "heads": ("linear", {k: INSIDE[k] for k in ("input", "relu")}, POOL),
    "nn.linear": ("linear", {k: INSIDE[k] for k in ("input", "relu")}, POOL),
    "relu_1": ("conv_1", {"input": "conv", "flatten": "output"},
               {"global_average_pool": "its input does not come from an INT8 kernel"}),
}  # fmt: skip


@pytest.mark.parametrize("selector", SELECTORS)
def test_what_is_excluded_says_by_which_selector(selector):
    layer, reads, others = SELECTORS[selector]
    floats = {layer: f"excluded by --exclude {selector}", **others}
    hold(classifier(), image(3), reads=reads, floats=floats, exclude=(selector,))


def test_a_first_convolution_for_each_input():
    def forward(m, x, y):
        return m.c(cat([relu(m.a(x)), relu(m.b(y))], 1))

    net = Function(forward, a=conv(3), b=conv(3), c=conv(64))
    reason = "excluded by --exclude first_conv"
    hold(net, image(3), image(3), reads={"concat": "output"},
         floats={"conv": reason, "conv_1": reason}, exclude=("first_conv",))  # fmt: skip


def test_a_model_of_tokens_has_its_head_too():
    net = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
    hold(net, torch.randn(2, 5, 32), reads={"input": "linear_matmul"},
         floats={"linear_1": "excluded by --exclude heads"}, exclude=("heads",))  # fmt: skip

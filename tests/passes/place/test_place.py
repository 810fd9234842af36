"""Where quantizers go, and why some layers stay in float: small modules, one idea each."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from sparqc.capture.capture import capture
from sparqc.declared.targets import default_profile
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.place.placement import Placement
from sparqc.pipeline.action import Action
from sparqc.pipeline.catalogue import make
from sparqc.pipeline.library import rulebook
from sparqc.rewrite.context import Context

TABLE = default_table()


def place(module, *inputs, passes=("fold", "place"), exclude=()):
    """The graph of a module after some passes, and the plan."""
    if not isinstance(module, Function):
        module = Function(lambda m, x: m.net(x), net=module)
    graph = capture(module.eval(), inputs or (torch.randn(2, 32, 8, 8),)).graph
    context = Context(TABLE, rulebook(), default_profile(), Action(), exclude=exclude)
    for name in passes:
        graph, _ = context.action.pass_(make(name), graph, context)
    graph.verify()
    return graph, context.facts[Placement]


def activations(plan):
    """The values with a per-tensor quantizer, and who reads them."""
    return {q.value: q.readers for q in plan.quantizers if q.axis is None}


def scales(plan):
    """The scale of each quantized activation."""
    return {q.value: q.scale for q in plan.quantizers if q.axis is None}


def layer(plan, name):
    return next(row for row in plan.layers if row.name == name)


def conv(cin=32, cout=32, size=3, **options):
    return nn.Conv2d(cin, cout, size, padding=size // 2, **options)


class Function(nn.Module):
    """A forward function over named layers."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, made in layers.items():
            setattr(self, name, made)
        self.function = forward

    def forward(self, x):
        return self.function(self, x)


def test_data_per_tensor_and_weights_per_channel():
    _, plan = place(nn.Sequential(conv(), nn.ReLU(), conv()))
    assert activations(plan) == {"x": ("conv.x",), "relu": ("conv_1.x",)}
    weights = [(q.value, q.axis) for q in plan.quantizers if q.axis is not None]
    assert weights == [("net.0.weight", 0), ("net.2.weight", 0)]


def test_one_quantizer_serves_every_reader_of_a_value():
    net = Function(lambda m, x: m.a(x) * torch.sigmoid(m.b(x)), a=conv(), b=conv())
    _, plan = place(net)
    assert activations(plan)["x"] == ("conv.x", "conv_1.x")


def test_the_identity_skip_reuses_the_quantizer_of_its_value():
    net = Function(lambda m, x: m.c(torch.relu(m.b(torch.relu(m.a(x))) + x)),
                   a=conv(), b=conv(), c=conv())  # fmt: skip
    _, plan = place(net)
    assert activations(plan)["x"] == ("conv.x", "add.a")
    assert "conv_1" not in activations(plan)  # the bare branch


def test_of_two_convolution_branches_the_longer_one_stays_bare():
    def forward(m, x):
        return m.c(torch.relu(m.skip(x) + m.b(torch.relu(m.a(x)))))

    _, plan = place(Function(forward, a=conv(), b=conv(), skip=conv(size=1), c=conv()))
    quantized = activations(plan)
    # conv is the skip: one operator against the three of the other branch
    assert quantized["conv"] == ("add.a",)
    assert "conv_2" not in quantized


def test_a_bare_branch_has_no_other_reader():
    def forward(m, x):
        y = m.a(x)
        return m.c(torch.relu(y + x)) + m.b(y)

    _, plan = place(Function(forward, a=conv(), b=conv(), c=conv()))
    assert layer(plan, "conv").fusion == "conv_act"


@pytest.mark.parametrize(
    ("other", "why"), [((1, 32, 1, 1), "a constant"), ((), "a broadcast")], ids=lambda p: str(p)
)
def test_an_add_that_is_no_skip_connection(other, why):
    if why == "a constant":
        bias = torch.randn(other)
        net = Function(lambda m, x: m.b(m.a(x) + bias), a=conv(), b=conv())
    else:
        net = Function(lambda m, x: m.b(m.a(x) + x.mean((2, 3), keepdim=True)), a=conv(), b=conv())
    _, plan = place(net)
    assert layer(plan, "conv").fusion == "conv_act"


@pytest.mark.parametrize(
    "act",
    [nn.SiLU(), nn.Hardswish(), nn.LeakyReLU(), nn.ReLU6(), nn.GELU()],
    ids=lambda a: type(a).__name__,
)
def test_nothing_stands_between_a_convolution_and_its_activation(act):
    graph, plan = place(nn.Sequential(conv(), nn.BatchNorm2d(32), act, conv()))
    tail = graph.value("conv").readers[0].output
    assert tail.name in activations(plan)
    assert "conv" not in activations(plan)


def test_silu_written_as_sigmoid_and_mul_is_one_activation():
    def forward(m, x):
        y = m.a(x)
        return m.b(y * torch.sigmoid(y))

    _, plan = place(Function(forward, a=conv(), b=conv()))
    assert activations(plan) == {"x": ("conv.x",), "mul": ("conv_1.x",)}


def test_max_pool_has_no_quantizer_of_its_own():
    _, plan = place(nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), conv()))
    assert activations(plan) == {"x": ("conv.x",), "max_pool": ("conv_1.x",)}


def test_concat_ties_the_scales_of_its_inputs_and_its_output():
    def forward(m, x):
        a = torch.relu(m.a(x))
        b = torch.relu(m.b(a))
        return m.c(torch.cat([a, b], 1))

    _, plan = place(Function(forward, a=conv(), b=conv(), c=conv(64)))
    found = scales(plan)
    assert found["relu"] == found["concat"]
    assert found["x"] != found["concat"]


def test_a_float_reader_of_a_concat_keeps_the_scales_apart():
    def forward(m, x):
        a = torch.relu(m.a(x))
        b = torch.relu(m.b(a))
        y = torch.cat([a, b], 1)
        return m.c(y) + functional.softmax(y, 1)

    _, plan = place(Function(forward, a=conv(), b=conv(), c=conv(64, 64)))
    found = scales(plan)
    assert found["relu"] != found["concat"]


def test_a_pool_between_int8_layers_runs_in_int8():
    net = nn.Sequential(conv(), nn.ReLU(), nn.AvgPool2d(2), conv())
    _, plan = place(net)
    assert layer(plan, "average_pool").int8
    assert activations(plan)["relu"] == ("average_pool.x",)


def test_a_pool_before_a_float_layer_stays_in_float():
    net = nn.Sequential(conv(), nn.ReLU(), nn.AvgPool2d(2), nn.Softmax(1))
    _, plan = place(net)
    row = layer(plan, "average_pool")
    assert (row.int8, row.reason) == (False, "not every reader of its output runs in INT8")


@pytest.mark.parametrize(
    ("forward", "int8"),
    [
        (lambda m, x, y: (m.b(y), y.mean((2, 3)).softmax(1)), True),
        (lambda m, x, y: (m.b(y), y.mean((2, 3), keepdim=True) + 1, y.sum(1)), False),
        (lambda m, x, y: (y.mean((2, 3)).softmax(1), y.mean((2, 3), keepdim=True)), False),
        (lambda m, x, y: (m.b(x), x.mean((2, 3)).softmax(1)), False),
    ],
    ids=["codes alone", "floats as well", "pools alone", "an input"],
)
def test_a_global_pool_never_makes_a_kernel_write_its_map_twice(forward, int8):
    """Where all others read codes, so does the pool, whoever reads the little that it gives."""
    net = Function(lambda m, x: forward(m, x, torch.relu(m.a(x))), a=conv(), b=conv())
    _, plan = place(net)
    pools = [row.int8 for row in plan.layers if row.fusion == "global_pool"]
    assert set(pools) == {int8}


def test_squeeze_and_excitation_is_int8_on_both_inputs_of_its_mul():
    def forward(m, x):
        y = torch.relu(m.a(x))
        gates = torch.sigmoid(m.up(torch.relu(m.down(y.mean((2, 3), keepdim=True)))))
        return m.b(y * gates)

    net = Function(forward, a=conv(), down=conv(32, 16, 1), up=conv(16, 32, 1), b=conv())
    _, plan = place(net)
    assert layer(plan, "mul").int8
    assert {"relu", "sigmoid", "reduce_mean", "mul"} <= set(activations(plan))


@pytest.mark.parametrize(
    ("net", "x", "reason"),
    [
        (conv(8, 12), torch.randn(1, 8, 8, 8), "C or K below 16"),
        (
            conv(16, 16, groups=16),
            torch.randn(1, 16, 8, 8),
            "a depthwise convolution of fewer than 32 channels",
        ),
        (
            conv(12, 12, groups=6),
            torch.randn(1, 12, 8, 8),
            "channels per group are no multiple of 4",
        ),
        (nn.Linear(32, 10), torch.randn(4, 32), "C or K below 16"),
    ],
    ids=["narrow", "narrow depthwise", "odd groups", "narrow linear"],
)
def test_layers_that_int8_does_not_pay_for_stay_in_float(net, x, reason):
    _, plan = place(nn.Sequential(nn.ReLU(), net), x)
    (row,) = plan.layers
    assert not row.int8
    assert row.reason.startswith(reason)
    assert plan.quantizers == ()


def test_a_first_convolution_of_three_channels_runs_in_int8():
    _, plan = place(nn.Sequential(conv(3, 32), nn.ReLU(), conv()), torch.randn(1, 3, 8, 8))
    assert [row.int8 for row in plan.layers] == [True, True]


def test_a_masked_matrix_product_has_a_quantizer_behind_its_tail():
    """Sparse products were seen to be chosen where they write INT8 (tensorrt.md §3.12)."""
    net = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Softmax(1))
    tokens = torch.randn(4, 32)
    _, dense = place(net, tokens)
    _, sparse = place(net, tokens, passes=("prune", "place"))
    assert activations(dense) == {"x": ("linear.x",)}
    assert activations(sparse) == {"x": ("linear.x",), "relu": ("softmax.x",)}


@pytest.mark.parametrize("swapped", [False, True])
def test_a_masked_product_in_front_of_an_add_has_none(swapped):
    """It would round the residual stream of a transformer."""

    def forward(m, x):
        y = m.b(m.a(x).relu())
        return (x + y if swapped else y + x).softmax(-1)

    net = Function(forward, a=nn.Linear(32, 32), b=nn.Linear(32, 32))
    _, plan = place(net, torch.randn(2, 4, 32), passes=("prune", "place"))
    assert activations(plan) == {"x": ("linear.x",), "relu": ("linear_1.x",)}


def test_a_masked_convolution_has_none():
    """Nobody has seen that it helps there, and in pre-activation networks it would stand between
    the Add and the BatchNorm of each block."""

    def forward(m, x):
        y = m.b(m.norm(m.a(x)).relu())
        s = y + x
        return m.c(m.norm2(s).relu()) + s

    net = nn.Sequential(conv(), nn.ReLU(), nn.Softmax(1))
    _, plan = place(net, passes=("prune", "place"))
    assert activations(plan) == {"x": ("conv.x",)}
    norms = {"norm": nn.BatchNorm2d(32).eval(), "norm2": nn.BatchNorm2d(32).eval()}
    block = Function(forward, a=conv(), b=conv(), c=conv(), **norms)
    _, dense = place(block)
    _, sparse = place(block, passes=("prune", "place"))
    assert activations(sparse) == activations(dense)


def test_a_masked_layer_before_a_pool_that_moves_int8_needs_no_quantizer_of_its_own():
    net = nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), conv())
    _, plan = place(net, passes=("prune", "place"))
    assert activations(plan) == {"x": ("conv.x",), "max_pool": ("conv_1.x",)}


def test_a_masked_product_before_a_concat_in_float_is_left_alone():
    def forward(m, x):
        return torch.cat([m.a(x).relu(), m.b(x).relu()], 1).softmax(1)

    net = Function(forward, a=nn.Linear(32, 32), b=nn.Linear(32, 32))
    _, plan = place(net, torch.randn(4, 32), passes=("prune", "place"))
    assert activations(plan) == {"x": ("linear.x", "linear_1.x")}


def test_a_masked_product_before_a_layer_in_float_does_not_half_quantize_it():
    net = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8))
    _, plan = place(net, torch.randn(4, 32), passes=("prune", "place"))
    assert [row.int8 for row in plan.layers] == [True, False]
    assert activations(plan) == {"x": ("linear.x",)}


def test_a_graph_output_is_not_quantized():
    _, plan = place(nn.Sequential(conv(), nn.ReLU()), passes=("prune", "place"))
    assert activations(plan) == {"x": ("conv.x",)}


def test_batch_norm_may_stay_unfolded():
    net = nn.Sequential(conv(), nn.BatchNorm2d(32), nn.ReLU(), conv())
    _, plan = place(net, passes=("place",))
    assert activations(plan) == {"x": ("conv.x",), "relu": ("conv_1.x",)}


@pytest.mark.parametrize("selector", ["first_conv", "nn.conv", "net.0", "net.*", "conv"])
def test_excluded_layers_stay_in_float_and_say_so(selector):
    _, plan = place(nn.Sequential(conv(), nn.ReLU(), nn.Softmax(1)), exclude=(selector,))
    assert [row.reason for row in plan.layers] == [f"excluded by --exclude {selector}"]


def test_a_selector_that_names_nothing_is_a_mistake():
    with pytest.raises(UsageError, match="no operator of the graph is meant"):
        place(conv(), exclude=("layer9.*",))


def test_a_model_that_already_carries_quantizers_is_refused():
    with pytest.raises(SparqcError, match="already carries quantizers"):
        place(conv(), passes=("place", "place"))

"""Modules with quantizers and masks of other tools: captured, compiled, and left as they were."""

import copy
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.numerics.two_four import is_two_four, two_four_mask
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.calibrate.calibrate import CalibratedRanges
from sparqc.passes.equalize.equalized import Equalization
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.place.placement import Placement
from sparqc.passes.reestimate import Reestimation
from tests.adopted import doubles
from tests.adopted.network import Network, images, trained

FOLDER = Path(__file__).parents[1] / "adopted"
LAYERS = {
    "named": (doubles.QuantConv2d, doubles.QuantLinear),
    "dynamic": (doubles.DynamicConv2d, doubles.DynamicLinear),
}


def data():
    return [(images(8, seed),) for seed in range(2, 5)]


def network(kind="named"):
    net = trained(Network(*LAYERS[kind]))
    return doubles.calibrated(net, *(x for (x,) in data()))


def compiled(net, passes="int8", calibration=data):
    return sparqc.compile(net, (images(),), passes=passes, calibration=calibration)


def scales(done):
    """The scale of each quantized value, by the name of the value."""
    return {r.value: np.asarray(r.step) for r in ranges(done)}


def changes(done, kind):
    return {c.value: c.reason for c in done.context.facts[Adoption].changes if c.kind == kind}


def ranges(done):
    return done.context.facts[CalibratedRanges].ranges


def measured(done):
    return {r.value for r in ranges(done) if r.method not in ("adopted",)}


def run(done, x):
    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def snr(expected, actual):
    return float(10 * torch.log10(expected.square().sum() / (expected - actual).square().sum()))


# -- the tools' own numbers ----------------------------------------------------------------------


def model_optimizer():
    """The network with the state that Model Optimizer 0.47 gave it."""
    arrays = np.load(FOLDER / "model_optimizer.npz")
    net = Network(*LAYERS["dynamic"])
    attributes = json.loads((FOLDER / "model_optimizer.json").read_text())
    for path, given in attributes.items():
        parent, _, name = path.rpartition(".")
        quantizer = doubles.TensorQuantizer(arrays.get(f"{path}._amax"))
        vars(quantizer).update(given)
        owner = net.get_submodule(parent)
        if hasattr(owner, name):
            setattr(owner, name, quantizer)
        elif not given["_disabled"]:  # in front of a pool, which has no weights
            path = parent.rpartition(".")
            pair = nn.Sequential(quantizer, owner)
            setattr(net.get_submodule(path[0]), path[2], pair)
    state = {k: torch.from_numpy(arrays[k]) for k in net.state_dict() if k in arrays.files}
    net.load_state_dict(state, strict=False)
    return net.eval(), torch.from_numpy(arrays["input"]), torch.from_numpy(arrays["output"])


def test_the_double_computes_what_model_optimizer_computed():
    net, x, y = model_optimizer()
    torch.testing.assert_close(net(x), y, rtol=1e-4, atol=1e-5)


def test_a_model_of_model_optimizer_keeps_its_scales_and_its_answers():
    net, x, y = model_optimizer()
    done = compiled(net)
    amax = net.layer1.conv2.input_quantizer._amax
    assert scales(done)["relu_1"] == pytest.approx(float(amax) / 127, rel=1e-6)
    # The skip's convolution had no quantizer behind it; nothing else is measured.
    assert measured(done) == {"conv_5"} == set(changes(done, "added"))
    assert snr(y, run(done, x)) > 35


def test_the_float_model_is_farther_from_model_optimizer_than_what_was_adopted():
    net, x, y = model_optimizer()
    plain = run(compiled(net, "float"), x)
    assert snr(y, run(compiled(net), x)) > snr(y, plain)


# -- modules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LAYERS)
def test_the_doubles_cannot_be_exported_as_they_are(kind):
    with pytest.raises(Exception, match=r"data-dependent|Could not guard"):
        torch.export.export(network(kind), (images(),), strict=False)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_quantizer_is_found(kind):
    adopted = compiled(network(kind)).context.facts[Adoption]
    assert len(adopted.quantizers) == 14  # data and weight of seven layers
    assert not adopted.notes and not adopted.left_in_float


@pytest.mark.parametrize("kind", LAYERS)
def test_the_module_is_as_it_was(kind):
    net = network(kind)
    before = {name: id(module) for name, module in net.named_modules()}
    expected = net(images())
    compiled(net)
    assert {name: id(module) for name, module in net.named_modules()} == before
    assert torch.equal(net(images()), expected)


def test_the_module_is_as_it_was_after_an_error():
    net = network()
    quantizer = net.conv1._input_quantizer
    with pytest.raises(SparqcError):
        sparqc.compile(net, (torch.randn(2, 5, 16, 16),), passes="int8")
    assert net.conv1._input_quantizer is quantizer


def test_weight_ranges_take_the_factor_of_a_folded_batch_norm():
    net = network()
    amax = net.conv1._weight_quantizer._amax.reshape(-1) / 2  # clipped, as by a trained range
    net.conv1._weight_quantizer._amax = amax.reshape(-1, 1, 1, 1)
    done = compiled(net)
    factor = net.bn1.weight / torch.sqrt(net.bn1.running_var + net.bn1.eps)
    found = next(r for r in ranges(done) if r.value == "conv1.weight")
    assert found.method == "adopted"
    assert found.amax == pytest.approx(float((amax * factor.abs()).max()), rel=1e-5)


def test_one_range_for_a_whole_weight_is_replaced_by_one_for_each_channel():
    net = network()
    net.conv1._weight_quantizer = doubles.TensorQuantizer(net.conv1.weight.detach().abs().max())
    done = compiled(net)
    found = next(r for r in ranges(done) if r.value == "conv1.weight")
    assert (found.method, found.channels) == ("weight", 16)


def test_what_is_disabled_stays_in_float():
    net = network()
    for quantizer in (net.layer1.conv1._input_quantizer, net.layer1.conv1._weight_quantizer):
        quantizer._disabled = True
    done = compiled(net)
    layers = {row.module: row for row in done.context.facts[Placement].layers}
    assert not layers["layer1.conv1"].int8 and "left it in float" in layers["layer1.conv1"].reason
    assert layers["layer1.conv2"].int8
    line = 'int8, +adopt{float_layers="quantize"}@instead=adopt'
    layers = {row.module: row for row in compiled(net, line).context.facts[Placement].layers}
    assert layers["layer1.conv1"].int8


def test_without_data_it_compiles_where_every_range_is_known():
    net = network()
    net.layer2.skip = nn.Sequential(*net.layer2.skip, doubles.TensorQuantizer(3.0))
    net.mean = nn.Sequential(doubles.TensorQuantizer(4.0), net.mean)
    done = compiled(net, calibration=None)
    assert measured(done) == set()
    assert scales(done)["conv_5"] == pytest.approx(3.0 / 127)


def test_without_data_the_value_that_has_no_range_is_named():
    with pytest.raises(SparqcError, match="gave no range to 'conv_5'"):
        compiled(network(), calibration=None)


@pytest.mark.parametrize("amax", [None, float("nan")], ids=["absent", "nan"])
def test_a_quantizer_that_was_never_calibrated(amax):
    net = network()
    net.layer2.conv2._input_quantizer = doubles.TensorQuantizer(amax)
    done = compiled(net)
    assert any("never calibrated" in note for note in done.context.facts[Adoption].notes)
    assert "relu_3" in measured(done)
    with pytest.raises(SparqcError, match=r"relu_3.*layer2.conv2._input_quantizer: it was never"):
        net.layer2.skip = nn.Sequential(*net.layer2.skip, doubles.TensorQuantizer(3.0))
        compiled(net, calibration=None)


@pytest.mark.parametrize("amax", [-1.0, float("inf")])
def test_a_range_that_is_none(amax):
    net = network()
    net.conv1._input_quantizer = doubles.TensorQuantizer(amax)
    with pytest.raises(SparqcError, match=r"conv1._input_quantizer has a range that is negative"):
        compiled(net)


@pytest.mark.parametrize(
    ("attributes", "note"),
    [
        ({"num_bits": (4, 3)}, "left out, FP8"),
        ({"num_bits": 4}, "left out, INT4"),
        ({"block_sizes": {-1: 16}}, "left out, quantized in blocks"),
        ({"dynamic": True}, "left out, dynamic"),
    ],
    ids=["fp8", "int4", "blocks", "dynamic"],
)
def test_what_is_not_int8_is_left_out_with_a_note(attributes, note):
    net = network()
    net.layer1.conv1._input_quantizer = doubles.TensorQuantizer(1.0, **attributes)
    done = compiled(net)
    assert [n for n in done.notes if n.startswith(note) and "layer1.conv1._input_quantizer" in n]
    assert "max_pool" in measured(done)


def test_an_unsigned_range_becomes_a_signed_one():
    net = network()
    net.layer1.conv2._input_quantizer = doubles.TensorQuantizer(2.0, unsigned=True)
    done = compiled(net)
    assert scales(done)["relu_1"] == pytest.approx(2.0 / 127)
    assert any(n.startswith("unsigned") for n in done.context.facts[Adoption].notes)


def test_a_factor_in_front_of_a_quantizer_stays():
    net = network()
    plain = copy.deepcopy(net)
    factor = torch.rand(16) + 0.5
    net.fc._input_quantizer = doubles.TensorQuantizer(1.0, pre_quant_scale=factor)
    done = compiled(net, "float")
    plain.fc._input_quantizer = doubles.TensorQuantizer(disabled=True)
    with torch.no_grad():
        plain.fc.weight.mul_(factor)
    for module in plain.modules():
        if isinstance(module, doubles.TensorQuantizer):
            module._disabled = True
    assert snr(plain(images()), run(done, images())) > 80


@pytest.mark.parametrize(
    ("attributes", "message"),
    [({"fake_quant": False}, "holds integers"), ({"rotate": True}, "rotates")],
    ids=["compressed", "rotated"],
)
def test_what_would_change_the_numbers_is_refused(attributes, message):
    net = network()
    net.conv1._weight_quantizer = doubles.TensorQuantizer(1.0, **attributes)
    with pytest.raises(SparqcError, match=f"conv1._weight_quantizer {message}"):
        compiled(net)


def test_a_layer_under_two_names():
    net = network()
    net.again = net.layer1
    before = net.layer1.conv1._input_quantizer
    assert len(compiled(net).context.facts[Adoption].quantizers) == 14
    assert net.again.conv1._input_quantizer is before


def test_a_quantizer_under_two_names_gives_one_scale():
    net = network()
    shared = doubles.TensorQuantizer(5.0)
    net.layer2.conv1._input_quantizer = net.layer2.skip[0]._input_quantizer = shared
    assert scales(compiled(net))["relu_2"] == pytest.approx(5.0 / 127)


# -- masks ---------------------------------------------------------------------------------------


def masked_by_asp(net):
    """Buffers as Apex ASP 0.1 registers them, with weights that an optimizer has moved since."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.weight.shape[1] == 16:
            mask = torch.from_numpy(two_four_mask(module.weight.detach().numpy(), 1))
            module.register_buffer("__weight_mma_mask", mask)
    return net


def sparse(done):
    return {m.module: m.removed for m in done.context.facts[Pruning].masks.values()}


def test_masks_of_asp_are_applied_and_kept():
    net = masked_by_asp(trained(Network()))
    weight = net.layer1.conv1.weight
    done = compiled(net, "default")
    assert any(note.startswith("multiplied by the masks") for note in done.notes)
    assert sparse(done)["layer1.conv1"] == 0 and len(sparse(done)) == 6
    assert net.layer1.conv1.weight is weight and not is_two_four(weight.detach().numpy(), 1)
    assert not done.context.facts[Reestimation].norms


def test_weights_that_fit_their_masks_are_not_copied():
    net = masked_by_asp(trained(Network()))
    for module in net.modules():
        mask = module._buffers.get("__weight_mma_mask")
        if mask is not None:
            module.weight.data *= mask
    done = compiled(net, "default")
    assert not done.notes and set(sparse(done).values()) == {0.0}


def test_a_mask_of_another_checkpoint():
    net = trained(Network())
    net.layer1.conv1.register_buffer("__weight_mma_mask", torch.ones(16, 8, 3, 3))
    with pytest.raises(SparqcError, match=r"beside layer1.conv1.weight has the shape"):
        compiled(net, "float")


def test_masked_and_quantized_weights_stay_masked_and_keep_their_scales():
    net = trained(Network(*LAYERS["dynamic"]))
    for module in net.modules():
        weight = module._parameters.get("weight")
        if isinstance(module, doubles._Dynamic) and weight.shape[1] == 16:
            weight = weight.detach().numpy()
            module._weight_mask = torch.from_numpy(two_four_mask(weight, 1))
    doubles.calibrated(net, *(x for (x,) in data()))
    done = compiled(net, "default")
    assert set(sparse(done).values()) == {0.0}
    assert measured(done) == {"conv_5", "relu_4"}
    assert snr(net(images()).detach(), run(done, images())) > 35


def test_pruning_makes_the_ranges_of_activations_stale():
    done = compiled(network(), "all-sparse")
    assert sum(sparse(done).values()) > 0
    taken = {r.value for r in ranges(done) if r.method == "adopted"}
    assert taken == {"conv1.weight"}  # three input channels: it stays dense
    assert "measured anew" in done.context.facts[Adoption].notes[-1]


def test_equalized_weights_make_them_stale_too():
    done = compiled(network(), "int8, +equalize{always=true}@after=fold")
    equalized = [row for row in done.context.facts[Equalization].groups if not row.reason]
    assert equalized and "measured anew" in done.context.facts[Adoption].notes[-1]
    assert {r.method for r in ranges(done) if not r.channels} == {"mse"}

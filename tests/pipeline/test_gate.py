"""The gate stops planted faults: a wrong rule, a wrong form, a pass that breaks its word."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import sparqc
from sparqc.declared import natives
from sparqc.errors import SparqcError
from sparqc.ir.vocabulary.table import default_table
from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.passes import surgery
from sparqc.passes.equalize import equalize, scale_weights
from sparqc.pipeline.catalogue import passes


class Net(nn.Module):
    """Two convolutions with BatchNorm, a residual Add, and a Linear."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32))
        self.head = nn.Linear(32, 16)

    def forward(self, x):
        y = self.first(x)
        y = torch.relu(self.second(y) + y)
        return self.head(y.mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(1)
    made = Net()
    for _ in range(3):
        made(torch.randn(8, 16, 8, 8) * 2 + 1)
    return made.eval()


@pytest.fixture
def example():
    return torch.randn(4, 16, 8, 8)


@pytest.fixture(params=["FX", "ONNX"])
def model(request, net, example):
    """The network on either road: the arguments of compile."""
    if request.param == "FX":
        return net, (example,)
    return sparqc.compile(net, (example,), passes="export").model, (example,)


def compiled(model, passes="int8", **wishes):
    x = torch.randn(8, 16, 8, 8)
    return sparqc.compile(*model, passes=passes, calibration=lambda: [(x,)], **wishes)


WRONG_RULE = """\
rule leaky on fx, onnx preserves {word}:
    "A wrong identity."
    match:
        y = nn.relu(x)
    rewrite:
        y = nn.mul(x, {factor})
"""


@pytest.mark.parametrize("word", ["exact", "close"])
def test_a_wrong_rule_is_named_with_its_operator(model, tmp_path, word):
    file = tmp_path / f"{tmp_path.name}.spq"
    file.write_text(WRONG_RULE.format(word=word, factor=0.5))
    with pytest.raises(SparqcError) as caught:
        compiled(model, patterns=[file])
    text = str(caught.value)
    assert f"promises {word} results" in text and "nn.mul 'relu" in text
    assert "the rule leaky" in text and f"{file.name}:1" in text and "--skip leaky" in text


def test_a_lossy_rule_may_do_so_and_is_measured(model, tmp_path):
    file = tmp_path / f"{tmp_path.name}.spq"
    file.write_text(WRONG_RULE.format(word="lossy", factor=0.5))
    first, *_, last = compiled(model, patterns=[file]).losses
    assert first.pass_ == file.stem.replace("_", "-") and last.pass_ == "calibrate"
    assert first.drift.snr_db < 15 and last.drift.snr_db < 15  # against the model as it was read


#: Passes of a preset that may change numbers, and have something to change on both roads.
LOSSY = {
    "float": set(),
    "int8": {"calibrate"},
    "all-sparse": {"prune", "calibrate"},
    "one-shot, +prune{method=sparsegpt}@instead=prune": {"prune", "calibrate"},
}


@pytest.mark.parametrize("passes", LOSSY)
def test_a_right_compile_passes(model, passes):
    done = compiled(model, passes)
    assert done.verified >= 2 and not done.unverified
    assert {loss.pass_ for loss in done.losses} >= LOSSY[passes]


def wrong_form(monkeypatch, name, level, change):
    """Let one row of the table write another operator."""
    table = default_table()
    row = table.require(name)
    form = getattr(row, level)
    broken = dataclasses.replace(
        row, **{level: dataclasses.replace(form, write=change(form.write))}
    )
    monkeypatch.setitem(table._rows, name, broken)


@pytest.mark.parametrize(
    ("name", "op_type", "attributes"),
    [("nn.relu", "LeakyRelu", {"alpha": 0.5}), ("nn.add", "Sub", {})],
)
def test_a_wrong_form_of_the_exporter_is_named(
    net, example, monkeypatch, name, op_type, attributes
):
    def change(write):
        def wrong(node, emitter):
            emitter.emit(op_type, [*node.inputs], attributes, outputs=node.outputs)

        return wrong

    wrong_form(monkeypatch, name, "onnx", change)
    with pytest.raises(SparqcError, match=r"the pass export promises close results, but"):
        compiled((net, (example,)))


class Canceling(nn.Module):
    """Sums of numbers that cancel: nothing is left but how they were rounded."""

    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(1, 16, affine=False)

    def forward(self, x):
        return x + self.norm(x).sum((1, 2, 3), keepdim=True)


ODD = torch.linspace(-3, 5, 2 * 16 * 9 * 7).sin().reshape(2, 16, 9, 7)


def test_rounding_of_numbers_that_cancel_is_no_departure():
    done = sparqc.compile(Canceling(), (ODD,), passes="float")
    assert done.verified >= 2 and not done.unverified


def test_another_operator_on_numbers_that_cancel_departs(monkeypatch):
    def change(write):
        def wrong(node, emitter):
            axes = emitter.constant(np.array(node.attributes["axes"]), "axes")
            keep = {"keepdims": int(node.attributes["keepdims"])}
            emitter.emit("ReduceMax", [*node.inputs, axes], keep, outputs=node.outputs)

        return wrong

    wrong_form(monkeypatch, "nn.reduce_sum", "onnx", change)
    with pytest.raises(SparqcError, match=r"promises close results, but nn\.reduce_sum"):
        sparqc.compile(Canceling(), (ODD,), passes="float")


def test_a_fold_with_a_wrong_number_is_named(model, monkeypatch):
    known = natives.natives()["fold_batch_norm"]

    def wrong(*args):
        weight, bias = known.function(*args)
        return weight, bias + np.float32(0.1)

    broken = dataclasses.replace(known, function=wrong)
    monkeypatch.setitem(natives._natives, "fold_batch_norm", broken)
    with pytest.raises(SparqcError, match=r"the pass fold promises close.*nn\.conv.*fold_batch"):
        compiled(model)


def test_factors_of_equalize_that_do_not_cancel_are_found(model, monkeypatch):
    scale = scale_weights._scale_outputs
    monkeypatch.setattr(scale_weights, "_scale_outputs", lambda layer, f: scale(layer, f * 1.01))
    monkeypatch.setattr(equalize, "_LEAST_GAIN", -np.inf)
    with pytest.raises(SparqcError, match="the pass equalize promises close results, but the out"):
        compiled(model, "int8, +equalize{always=true}@after=fold")


def test_codes_that_surgery_stores_wrong_are_found(model, monkeypatch):
    right = surgery.quantize_codes
    monkeypatch.setattr(surgery, "quantize_codes", lambda *args: right(*args) ^ 3)
    with pytest.raises(SparqcError, match="the pass surgery promises exact results, but"):
        compiled(model)


class Parts(nn.Module):
    """Of several results of an operator some are read, and some are not."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(16, 32, 3), nn.Conv2d(32, 16, 3)
        self.lstm = nn.LSTM(16, 16, batch_first=True)

    def forward(self, x):
        y = torch.relu(self.first(x))
        a, _, b = y.split([8, 16, 8], 1)
        largest, _ = y.max(2)
        sequence, _ = self.lstm(self.second(y).flatten(2).transpose(1, 2))
        return a + b, largest, sequence


@pytest.mark.parametrize("passes", ["float", "int8"])
def test_results_that_nobody_reads_leave_the_rest_verified(example, passes):
    done = compiled((Parts().eval(), (example,)), passes)
    assert not done.unverified and done.verified >= 4


class Spectrum(nn.Module):
    """Complex numbers on the way, which no runner gives."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 16)

    def forward(self, x):
        basis = torch.fft.rfft(torch.eye(16)).real
        return self.second(torch.relu(self.first(x)) @ basis @ basis.t())


@pytest.mark.parametrize("passes", ["float", "int8"])
def test_complex_numbers_leave_the_rest_verified(example, passes):
    done = compiled((Spectrum().eval(), (example,)), passes)
    assert not done.unverified and done.verified >= 4


def test_a_model_that_noise_does_not_fit_compiles_and_says_so():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(2, 16)

        def forward(self, tokens):
            return self.table(tokens * 2)

    zeros = (torch.tensor([[0, 0]]),)
    exported = sparqc.compile(Tokens(), zeros, passes="float").model
    assert not sparqc.compile(exported, zeros, passes="float").unverified
    assert "Gather" in sparqc.compile(exported, passes="float").unverified  # noise has ones


def test_what_was_known_goes_where_a_constant_is_changed_between_passes(net, example):
    """Constants change in place, which the graph's version does not tell."""
    job = new_job(net, (example,), options=Options(passes="float"))
    graph, gate, fold = job.graph, job.gate, passes()["fold-constants"]()
    one = [example[:1].numpy()]
    gate.begin(one, None, None)
    gate.before(fold, graph, job.context)
    gate.after(fold, graph, graph, 0, job.context, ())
    weight = max(graph.constants, key=lambda value: value.data.size)
    weight.data = 2 * weight.data
    gate.before(fold, graph, job.context)
    gate.after(fold, graph, graph, 0, job.context, ())  # the same graph as in front of it
    assert gate.silent == ""

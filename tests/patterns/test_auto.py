"""The preset `auto` is never below `int8` on what it was judged by, and else is `int8`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import sparqc
from sparqc.passes.correct_bias.mean_error import MeanError
from sparqc.passes.equalize import equalize
from sparqc.passes.on_data.transaction import Judgements

SHAPE = (3, 10, 10)


def network(seed: int) -> nn.Module:
    """Convolutions whose channels have ranges of their own, some of them depthwise."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    width, layers = int(rng.choice([8, 16])), [nn.Conv2d(3, 16, 3)]
    for _ in range(int(rng.integers(1, 4))):
        layers.append(nn.Conv2d(layers[-1].out_channels, width, 1))
        if rng.random() < 0.5:
            layers.append(nn.Conv2d(width, width, 3, padding=1, groups=width))
    with torch.no_grad():
        for layer in layers:
            spread = torch.from_numpy(rng.lognormal(0, 1.0, layer.out_channels)).float()
            layer.weight *= spread.reshape(-1, 1, 1, 1)
    parts = [part for layer in layers for part in (layer, rng.choice([nn.ReLU, nn.ReLU6])())]
    return nn.Sequential(*parts, nn.Flatten(), nn.LazyLinear(6)).eval()


def data(count: int) -> list[tuple[torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [(torch.randn(count, *SHAPE, generator=generator),) for _ in range(4)]


def compiled(net: nn.Module, passes: str, count: int = 16) -> sparqc.Compiled:
    batches = data(count)
    return sparqc.compile(net, batches[0], calibration=batches, passes=passes)


def held_snr(net: nn.Module, done: sparqc.Compiled) -> float:
    """On the samples that judge: the last quarter of each batch."""
    import onnxruntime

    x = torch.cat([batch[-len(batch) // 4 :] for (batch,) in data(16)])
    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = net(x).numpy()
    return float(10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum()))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_it_is_never_below_int8_on_what_judges(seed: int) -> None:
    net = network(seed)
    net(torch.zeros(1, *SHAPE))
    plain, found = compiled(net, "int8"), compiled(net, "auto")
    assert held_snr(net, found) >= held_snr(net, plain) - 1e-3
    for judgement in found.context.facts[Judgements].passes:
        assert judgement.after_db >= judgement.before_db


def test_it_gains_where_there_is_something_to_gain() -> None:
    gains = []
    for seed in range(3):
        net = network(seed)
        net(torch.zeros(1, *SHAPE))
        gains.append(held_snr(net, compiled(net, "auto")) - held_snr(net, compiled(net, "int8")))
    assert max(gains) > 1


def test_with_few_samples_it_is_int8_to_the_byte() -> None:
    net = network(1)
    net(torch.zeros(1, *SHAPE))
    plain, found = compiled(net, "int8", 4), compiled(net, "auto", 4)
    assert found.model.SerializeToString() == plain.model.SerializeToString()
    judged = {j.pass_: j.reason for j in found.context.facts[Judgements].passes}
    assert set(judged) == {"equalize", "calibrate", "correct-bias", "round-weights"}
    assert all("held back to judge by" in reason for reason in judged.values())


@pytest.mark.parametrize(
    "passes", ["int8, +equalize@before=attention", "int8, +correct-bias@after=calibrate"]
)
def test_proposals_that_only_harm_leave_int8_to_the_byte(
    passes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)
    ).eval()
    plain = compiled(net, "int8")
    monkeypatch.setattr(
        equalize, "choose", lambda readings, *_: np.geomspace(1, 64, len(readings[0].ranges))
    )
    monkeypatch.setattr(equalize, "_LEAST_GAIN", -99.0)
    monkeypatch.setattr(MeanError, "shift", property(lambda error: 3 + 0 * error._sums[0]))
    found = compiled(net, passes)
    (judgement,) = found.context.facts[Judgements].passes
    assert (judgement.kept, judgement.reason) == ((), "")
    assert judgement.undone
    assert found.model.SerializeToString() == plain.model.SerializeToString()


def test_an_onnx_file_is_judged_too() -> None:
    net = network(0)
    net(torch.zeros(1, *SHAPE))
    batches = data(16)
    file = sparqc.compile(net, batches[0], passes="float").model
    names = [value.name for value in file.graph.input]
    given_ = [{names[0]: batch.numpy()} for (batch,) in batches]
    plain, found = (
        sparqc.compile(file, calibration=given_, passes=passes) for passes in ("int8", "auto")
    )
    judged = {j.pass_: j for j in found.context.facts[Judgements].passes}
    assert {"equalize", "calibrate", "correct-bias"} <= set(judged)
    assert all(not j.reason and j.samples == 16 for j in judged.values() if j.trials)
    assert any(j.kept for j in judged.values())
    assert held_snr(net, found) > held_snr(net, plain)


def test_whole_batches_are_held_back_where_the_batch_is_fixed() -> None:
    net = network(1)
    net(torch.zeros(1, *SHAPE))
    batches = [batch for _ in range(2) for batch in data(8)]
    found = sparqc.compile(net, batches[0], calibration=batches, passes="auto", dynamic_batch=False)
    judged = {j.pass_: j for j in found.context.facts[Judgements].passes}
    assert judged["round-weights"].samples == 16
    assert judged["round-weights"].trials

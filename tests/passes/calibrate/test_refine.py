"""Other calibrators where the outputs of the network come nearer with them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparqc
from sparqc.passes.calibrate.calibrate import CalibratedRanges
from sparqc.passes.on_data.transaction import Judgements

PLAIN, REFINED = "int8", "int8, +calibrate{refine=true}@instead=calibrate"


class Points(nn.Module):
    """A max over points, which keeps the rare large elements that `mse` cuts off."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 32, 1)
        self.second = nn.Conv2d(32, 32, 1)
        self.head = nn.Linear(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.second(torch.relu(self.first(x))))
        out: Tensor = self.head(y.amax((2, 3)))
        return out


def points(seed: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, 24, 24, generator=generator)
    rare = torch.rand(count, 1, 24, 24, generator=generator) < 0.003
    return torch.where(rare, 12 * x, x)


def compiled(passes: str, count: int = 12) -> sparqc.Compiled:
    data = [(points(seed, count),) for seed in range(4)]
    return sparqc.compile(Points().eval(), data[0], calibration=data, passes=passes)


def snr(done: sparqc.Compiled) -> float:
    import onnxruntime

    x = points(99, 64)
    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = Points().eval()(x).numpy()
    return float(10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum()))


def test_a_network_that_keeps_the_largest_gets_other_ranges() -> None:
    plain, refined = compiled(PLAIN), compiled(REFINED)
    assert snr(refined) > snr(plain) + 2
    (judgement,) = refined.context.facts[Judgements].passes
    assert judgement.kept
    assert judgement.pass_ == "calibrate"
    assert judgement.after_db > judgement.before_db + 1
    rows = {r.value: r for r in refined.context.facts[CalibratedRanges].ranges if not r.channels}
    assert {r.method for r in rows.values()} - {"mse"}
    for row in rows.values():
        assert row.step == pytest.approx(row.amax / 127, rel=1e-3)  # one that FP16 holds


def test_with_few_samples_all_keep_the_usual_ranges() -> None:
    plain, refined = compiled(PLAIN, 2), compiled(REFINED, 2)
    assert refined.context.facts[Judgements].passes[0].reason
    assert refined.model.SerializeToString() == plain.model.SerializeToString()

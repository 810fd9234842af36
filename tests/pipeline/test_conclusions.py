"""What is said of the finished graph is said of the graph as it stands at the end."""

import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.passes.check.record import recorded
from sparqc.pipeline.events import PassEvent

CALIBRATION = [(torch.randn(4, 16, 8, 8),)]
RENAME = """\
"A rule of one's own."

rule rename on onnx preserves exact:
    "The same by another operator."
    match:
        y = nn.relu(x)
    rewrite:
        y = nn.leaky_relu(x, alpha=0.0)
"""


class Passes:
    """Keeps the names of the passes, in the order in which they ran."""

    def __init__(self):
        self.names = []

    def on_pass(self, event: PassEvent) -> None:
        self.names.append(event.pass_)

    def on_rule(self, event) -> None:
        """Not looked at."""


@pytest.fixture(params=["FX", "ONNX"])
def model(request):
    net = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)).eval()
    if request.param == "FX":
        return net, CALIBRATION[0]
    return sparqc.compile(net, CALIBRATION[0], passes="export").model, CALIBRATION[0]


def compiled(model, passes, **options):
    return sparqc.compile(*model, passes=passes, calibration=CALIBRATION, **options)


def test_they_run_again_behind_a_pass_that_changed_the_graph(model, tmp_path):
    file = tmp_path / f"{tmp_path.name}.spq"
    file.write_text(RENAME)
    name, seen = file.stem.replace("_", "-"), Passes()
    found = compiled(model, f"int8, {name}", patterns=[file], listeners=[seen])
    assert seen.names[-5:] == ["record", "check", name, "record", "check"]
    assert recorded(dict(found.graph.native.metadata)).int8 == tuple(
        n.output.name if not n.output.is_output else found.graph.output_names[0]
        for n in found.graph.nodes if n.op == "nn.conv"
    )  # fmt: skip


def test_once_is_enough_where_nothing_changed(model):
    seen = Passes()
    compiled(model, "int8, cleanup", listeners=[seen])
    assert seen.names.count("check") == seen.names.count("record") == 1


@pytest.mark.parametrize("place", ["calibrate", "export", "check"])
def test_pairs_that_a_later_pass_takes_away_are_found(model, place):
    with pytest.raises(SparqcError, match=r"int8-lost: \w+ \(\d\) was placed in INT8, but"):
        compiled(model, f"int8, +adopt@after={place}")


@pytest.mark.parametrize("place", ["place", "calibrate", "export", "check"])
def test_weights_are_not_pruned_behind_their_quantizers(model, place):
    with pytest.raises(SparqcError, match="prune needs a float model") as caught:
        compiled(model, f"int8, +prune@after={place}")
    assert "in front of `place`" in caught.value.hint

"""Models of a few bytes that ask for more than any machine holds: as modules and as programs."""

import pytest
import torch
from torch import nn

import sparqc
from sparqc.errors import SparqcError
from sparqc.tools import cli


class Module(nn.Module):
    """A function of x as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def _in_place(x):
    y = x.clone()
    y[:, 0] = torch.ones(1 << 17, 1 << 17).sum()
    return y


HUGE = {
    "filled": lambda x: x + torch.ones(1 << 17, 1 << 17).sum(),
    "expanded": lambda x: x.unsqueeze(-1).expand(-1, -1, 1 << 31).sum(-1),
    "repeated": lambda x: x.repeat(1, 1 << 31).sum(),
    "computed": lambda x: x + torch.ones(1 << 15, 1 << 14).cumsum(0).sum(),
    "in place": _in_place,
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("road", ["module", "program"])
def test_what_is_too_large_is_refused_before_anything_runs(name, road, tmp_path, capsys):
    module, x = Module(HUGE[name]).eval(), torch.ones(2, 3)
    if road == "module":
        with pytest.raises(SparqcError, match=r"test_sizes\.py.* elements") as caught:
            sparqc.compile(module, (x,), passes="float")
        assert "smaller" in caught.value.hint
        return
    file = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(module, (x,)), file)
    out = tmp_path / "m.onnx"
    assert cli.run(["compile", str(file), "--passes", "float", "-o", str(out)]) == 3
    assert "elements" in capsys.readouterr().err and not out.exists()


def test_a_table_of_positions_is_no_large_size():
    module = Module(lambda x: x + torch.arange(3).float().expand(2, 3))
    assert sparqc.compile(module, (torch.ones(2, 3),), passes="float").verified

"""What is said of a model that cannot be compared with its result."""

import pytest
import torch

import sparqc
from sparqc.errors import SparqcError


class FourSamples(torch.nn.Module):
    """Its code takes the samples by their numbers."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(8, 8, 3)

    def forward(self, x):
        return self.layer(x)[torch.arange(4), :, 1]


def test_a_model_whose_code_holds_for_its_batch_alone_is_told_how_to_keep_it():
    example = (torch.randn(4, 8, 6, 6),)
    with pytest.raises(SparqcError, match=r"runs on 4 samples, but not on 2 of them.*\n.*--static"):
        sparqc.compile(FourSamples(), example, passes="float")
    assert sparqc.compile(FourSamples(), example, passes="float", dynamic_batch=False).verified

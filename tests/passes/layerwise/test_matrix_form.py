"""Layers as matrix products over samples."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparqc.capture.capture import capture
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.weighted import weighted
from sparqc.passes.layerwise import matrix_form as forms
from sparqc.passes.layerwise.matrix_form import Images, MatrixForm, matrix_form


class MatMul(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w


LAYERS = [
    (nn.Conv2d(8, 6, 3, bias=False), (3, 8, 7, 9)),
    (nn.Conv2d(8, 6, 3, stride=2, padding=1, bias=False), (3, 8, 8, 8)),
    (nn.Conv2d(8, 6, (3, 2), stride=(1, 3), padding=(2, 0), dilation=2, bias=False), (2, 8, 9, 9)),
    (nn.Conv2d(8, 6, 4, padding="same", bias=False), (2, 8, 9, 9)),
    (nn.Conv2d(8, 6, 3, groups=2, padding=1, bias=False), (2, 8, 5, 5)),
    (nn.Conv2d(8, 16, 3, groups=8, padding=1, bias=False), (2, 8, 5, 5)),
    (nn.Conv1d(8, 6, 5, stride=2, padding=2, bias=False), (2, 8, 11)),
    (nn.Conv3d(4, 6, 2, bias=False), (2, 4, 5, 4, 3)),
    (nn.Linear(6, 4, bias=False), (5, 6)),
    (nn.Linear(6, 4, bias=False), (5, 3, 6)),
    (nn.Linear(6, 4, bias=False), (2, 5, 3, 6)),
    (MatMul(), (5, 6)),
    (MatMul(), (2, 5, 6)),
]


def form_of(layer: nn.Module, shape: tuple[int, ...]) -> tuple[MatrixForm, Tensor]:
    graph = capture(layer, (torch.randn(shape),)).graph
    (found,) = weighted(graph, default_table())
    form = matrix_form(found)
    assert isinstance(form, MatrixForm)
    assert found.data is graph.inputs[0]
    return form, torch.from_numpy(found.weight.data)


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=str)
def test_samples_times_rows_are_the_outputs(layer: nn.Module, shape: tuple[int, ...]) -> None:
    form, weight = form_of(layer, shape)
    x = torch.randn(shape)
    with torch.no_grad():
        y = layer(x)
    images = Images(0, shape[0])
    product = form.inputs(x, images) @ form.to_rows(weight).transpose(1, 2)
    torch.testing.assert_close(product, form.outputs(y, images), rtol=1e-4, atol=1e-5)
    assert product.shape[1] == y.numel() // (form.groups * form.rows)  # all of them
    torch.testing.assert_close(form.to_weight(form.to_rows(weight)), weight, rtol=0, atol=0)


def test_four_neighbours_of_a_row_are_neighbours_along_the_reduction_axis() -> None:
    form, weight = form_of(nn.Conv2d(8, 6, 3, bias=False), (1, 8, 5, 5))
    marked = torch.zeros_like(weight)
    marked[2, 4:8, 1, 2] = 1
    (columns,) = form.to_rows(marked)[0, 2].nonzero(as_tuple=True)
    assert columns.tolist() == list(range(columns[0], columns[0] + 4))
    assert columns[0] % 4 == 0


def test_with_plenty_of_places_each_image_gives_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "LEAST", 16)
    monkeypatch.setattr(forms, "PER_COLUMN", 1)
    layer = nn.Conv2d(2, 6, 3, padding=1, bias=False)
    form, weight = form_of(layer, (4, 2, 8, 8))
    x = torch.randn(4, 2, 8, 8)
    samples = form.inputs(x, Images(0, 4))
    assert samples.shape == (1, 20, 18)  # 18 columns: five places of each of four images
    product = samples @ form.to_rows(weight).transpose(1, 2)
    with torch.no_grad():
        wanted = form.outputs(layer(x), Images(0, 4))
    torch.testing.assert_close(product, wanted, rtol=1e-4, atol=1e-5)
    # However the images come in batches, they give the same samples.
    parts = [form.inputs(x[:1], Images(0, 4)), form.inputs(x[1:], Images(1, 4))]
    torch.testing.assert_close(torch.cat(parts, 1), samples, rtol=0, atol=0)


def test_what_has_no_matrix_form_says_why() -> None:
    graph = capture(nn.ConvTranspose2d(4, 4, 2), (torch.randn(1, 4, 5, 5),)).graph
    (found,) = weighted(graph, default_table())
    assert matrix_form(found) == "nn.conv_transpose is not one of the layers that can be solved"


def test_a_product_with_a_scaled_bias_is_refused() -> None:
    class Scaled(MatMul):
        def forward(self, x: Tensor) -> Tensor:
            return torch.addmm(torch.ones(4), x, self.w, beta=2)

    graph = capture(Scaled(), (torch.randn(5, 6),)).graph
    (found,) = weighted(graph, default_table())
    assert matrix_form(found) == "what it adds is not a bias"
    assert np.shape(found.weight.data) == (6, 4)

"""`--dense unlikely-to-pay`: layers that no sparse kernel is likely to make faster stay dense."""

import pytest
import torch
from torch import Tensor, nn

import sparqc
from sparqc.errors import UsageError
from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.passes.masks.pruning import Pruning
from sparqc.passes.masks.sparse_layers import sparse_layers
from sparqc.pipeline.presets import presets
from tests.predict.sparse_witness import GAINED_2_US, LAYERS

CAREFUL = "prune{dense=[unlikely-to-pay]}, export"
PLAIN = "prune, export"


class Three(nn.Module):
    """A layer that pays, one that waits for memory, and one that is too narrow."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(64, 64, 3, padding=1)
        self.down = nn.Conv2d(64, 128, 1, stride=2)
        self.narrow = nn.Conv2d(128, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(torch.relu(self.down(torch.relu(self.wide(x)))))


def pruned(module, inputs, **options):
    """What `prune` decided: the masked layers, and the reason for each dense one."""
    made = sparqc.compile(module.eval(), inputs, **options)
    found = made.context.facts[Pruning]
    return set(found.masks), {name: row.reason for name, row in found.dense.items()}


def three(**options):
    return pruned(Three(), (torch.randn(2, 64, 32, 32),), **options)


@pytest.mark.parametrize(
    "options",
    [{"passes": CAREFUL}, {"passes": PLAIN, "dense": ("unlikely-to-pay",)}],
    ids=["of the pass", "of the compile"],
)
def test_what_does_not_pay_stays_dense_and_says_why(options):
    masked, dense = three(**options)
    assert masked == {"conv"}
    assert dense == {
        "conv_1": "unlikely to pay: 21 products for each number that it reads or writes, below "
        "128: it waits for memory",
        "conv_2": "unlikely to pay: C or K below 64",
    }


def test_without_the_word_every_eligible_layer_is_pruned():
    assert three(passes=PLAIN)[0] == {"conv", "conv_1", "conv_2"}


def test_other_selectors_stand_beside_it():
    masked, dense = three(passes=CAREFUL, dense=("conv",))
    assert not masked and dense["conv"] == "kept dense by --dense conv"


def test_a_stated_batch_counts():
    """At batch 1 the tiles of the wide layer are too few, at 128 they are not."""
    assert three(passes=CAREFUL, knobs=("batch=1",))[0] == set()
    assert three(passes=CAREFUL, knobs=("batch=128",))[0] == {"conv"}
    assert three(passes=CAREFUL, dynamic_batch=False)[0] == set()


def test_a_weight_that_is_2_4_already_stays_so():
    module = Three()
    with torch.no_grad():
        module.narrow.weight[:, ::2] = 0
    masked, dense = pruned(module, (torch.randn(2, 64, 32, 32),), passes=CAREFUL)
    assert masked == {"conv", "conv_2"} and set(dense) == {"conv_1"}


def test_a_file_of_layers_has_the_last_word(tmp_path):
    file = tmp_path / "layers.toml"
    file.write_text('[[layer]]\nvalue = "conv_1"\nkeep = "sparse"\n')
    assert three(passes=CAREFUL, layers=file)[0] == {"conv", "conv_1"}


def test_an_onnx_file_is_asked_alike(tmp_path):
    sparqc.compile(Three().eval(), (torch.randn(2, 64, 32, 32),), passes="float").save(
        tmp_path / "float.onnx"
    )
    made = sparqc.compile(tmp_path / "float.onnx", passes="prune{dense=[unlikely-to-pay]}")
    assert set(made.context.facts[Pruning].masks) == {"conv"}


class ReadBy(nn.Module):
    """A layer that would pay, and what reads it."""

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(64, 64, 3, padding=1)
        self.reader = reader

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(self.conv(x))


@pytest.mark.parametrize(
    ("reader", "masked"),
    [
        (nn.Identity(), False),  # an output of the graph
        (nn.Tanh(), False),
        (nn.LayerNorm(32), False),
        (nn.Conv2d(64, 32, 1), True),
        (nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(64, 32, 1)), True),
    ],
)
@pytest.mark.parametrize("passes", ["default", "one-shot", "attention-int8", CAREFUL])
@pytest.mark.parametrize("road", ["FX", "ONNX"])
def test_a_layer_that_writes_float_stays_dense_where_layers_run_in_int8(
    reader, masked, passes, road
):
    """Nobody has seen a sparse INT8 convolution that writes float; in float all write float."""
    masked |= passes == CAREFUL
    model, inputs = ReadBy(reader).eval(), (torch.randn(2, 64, 32, 32),)
    if road == "ONNX":
        model, inputs = sparqc.compile(model, inputs, passes="float").model, None
    # What is placed, and so what is pruned, is decided in front of everything that takes time.
    job = new_job(model, inputs, options=Options(passes=passes, random_calibration=True))
    rows = sparse_layers(job.graph, job.context, ("unlikely-to-pay",))
    assert (not rows[0].reason) == masked
    if not masked:
        assert rows[0].reason.startswith("unlikely to pay: it ")


class Residual(nn.Module):
    """A matrix product of 128 products for each number that it reads or writes, and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(256, 256) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(torch.relu(x + self.second(torch.relu(x))))


@pytest.mark.parametrize(("stream", "masked"), [("float", True), ("int8", False)])
def test_the_skip_that_a_matrix_product_takes_in_counts(stream, masked):
    found, dense = pruned(
        Residual(), (torch.randn(512, 256),), passes=CAREFUL, dynamic_batch=False,
        knobs=(f"residual_stream={stream}", "multiprocessors=1"),
    )  # fmt: skip
    assert ("linear_1" in found) == masked
    if not masked:
        assert "85 products for each number that it reads or writes, below 128" in dense["linear_1"]


def test_the_word_is_for_dense_alone():
    with pytest.raises(UsageError, match="--exclude unlikely-to-pay: this word is for --dense"):
        three(passes=CAREFUL, exclude=("unlikely-to-pay",))


def test_a_mistyped_word_is_an_error_that_knows_the_word():
    with pytest.raises(UsageError, match="--dense unlikely-to-pays: no operator") as error:
        three(passes=PLAIN, dense=("unlikely-to-pays",))
    assert "did you mean 'unlikely-to-pay'" in error.value.hint


@pytest.mark.parametrize("name", ["default", "one-shot", "attention-int8"])
def test_presets_prune_only_what_may_pay(name):
    assert "dense=[unlikely-to-pay]" in presets()[name].passes


# -- the layers of a real engine, as PyTorch gives them ----------------------------------------


class Side(nn.Module):
    """Layers side by side, each with its epilogue and a reader in INT8."""

    def __init__(self, shapes) -> None:
        super().__init__()
        self.shapes = shapes
        self.convs = nn.ModuleList(
            nn.Conv2d(c, k, kernel, stride, kernel // 2, bias=False)
            for k, c, kernel, stride, _, _ in shapes
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(shape[0]) for shape in shapes)
        self.readers = nn.ModuleList(nn.Conv2d(shape[0], 32, 1) for shape in shapes)

    def forward(self, *xs: Tensor) -> Tensor:
        out, rest = [], iter(xs)
        layers = zip(self.convs, self.norms, self.readers, self.shapes, strict=True)
        for conv, norm, reader, (*_, adds) in layers:
            y = norm(conv(next(rest)))
            out.append(reader(torch.relu(y + next(rest) if adds else y)).mean((2, 3)))
        return sum(out)

    def inputs(self):
        for k, c, _, stride, side, adds in self.shapes:
            yield torch.zeros(2, c, side * stride, side * stride)
            if adds:
                yield torch.zeros(2, k, side, side)


@pytest.mark.parametrize("seen", ["int8_sparse", "fp16_sparse"])
def test_36_layers_are_pruned_as_a_builder_chose(seen):
    shapes = tuple(dict.fromkeys(layer.shape for layer in LAYERS))
    module = Side(shapes).eval()
    half = seen == "fp16_sparse"
    options = Options(
        passes="prune, place" if not half else "prune, export, half", knobs=("batch=32",),
        float="fp16" if half else "",
    )  # fmt: skip
    job = new_job(module, tuple(module.inputs()), options=options)
    found = sparse_layers(job.graph, job.context, ("unlikely-to-pay",))
    found = [layer for layer in found if layer.node.origin.module.startswith("convs.")]
    sparse = {shape: not layer.reason for shape, layer in zip(shapes, found, strict=True)}
    wrong = {x.shape for x in LAYERS if sparse[x.shape] != getattr(x, seen)}
    assert wrong == (GAINED_2_US if half else set())

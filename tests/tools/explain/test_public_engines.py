"""What TensorRT 8.4 made of three public graphs, beside what is predicted for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from sparqc.errors import SparqcError
from sparqc.predict.engine import PredictedEngine
from sparqc.tools import cli
from sparqc.tools.engine.listings.inspector import parse_inspector
from sparqc.tools.explain.compare_engines import compare
from sparqc.tools.explain.comparison import Comparison, comparison_lines
from sparqc.tools.explain.prediction import predict
from tests.engines.facts import ENGINES, PublicEngine


class Built:
    """A graph, its predicted engine and the listing of its real one."""

    def __init__(self, public: PublicEngine) -> None:
        self.public = public
        self.model: onnx.ModelProto = public.graph()
        self.predicted: PredictedEngine = predict(self.model)

    def beside(self, layers: list[dict[str, Any]] | None = None) -> Comparison:
        listing = self.public.listing() if layers is None else {"Layers": layers}
        return compare(self.predicted, parse_inspector(json.dumps(listing)), self.model)


@pytest.fixture(scope="module", params=ENGINES, ids=lambda e: str(e.name))
def built(request: pytest.FixtureRequest) -> Built:
    return Built(request.param)


@pytest.fixture(scope="module")
def resnet() -> Built:
    return Built(ENGINES[0])


def test_kernels_types_and_quantizers_are_those_of_the_engine(built: Built) -> None:
    found = built.beside()
    assert found.differences == ()
    assert found.whole
    predicted, real = found.groups
    assert found.alike == predicted == real == {"resnet18_qat": 23}.get(built.public.name, 54)
    leftover = {"resnet18_qat": 10, "mobilenet_v2_qat": 17}.get(built.public.name, 2)
    assert found.quantizers == (leftover, leftover)
    weighted = len(built.predicted.ledger)
    assert found.int8 == (weighted, weighted)


def test_the_convolution_that_downsamples_takes_the_float_skip(resnet: Built) -> None:
    kernels = [k for k in resnet.predicted.kernels if "nn.add" in k.operators]
    convolutions = [n for k in kernels for n in k.nodes if n.startswith("Conv_")]
    assert convolutions == [
        "Conv_34", "Conv_59", "Conv_95", "Conv_120", "Conv_156", "Conv_181", "Conv_217", "Conv_242",
    ]  # fmt: skip
    assert all(len(k.inputs) == 2 and k.outputs[0].dtype == "f32" for k in kernels)


def test_the_command_reads_listing_and_times(
    resnet: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing, profile = tmp_path / "graph.json", tmp_path / "profile.json"
    listing.write_text(json.dumps(resnet.public.listing()))
    profile.write_text(json.dumps(resnet.public.profile()))
    onnx.save(onnx.shape_inference.infer_shapes(resnet.model), tmp_path / "model.onnx")
    words = ["explain", str(tmp_path / "model.onnx"), "--engine", str(listing)]
    assert cli.run([*words, "--profile", str(profile)]) == 0
    printed = capsys.readouterr().out
    assert "the engine is as predicted" in printed
    assert "1.1 ms measured" in printed
    listing.write_text(listing.read_text()[:9000])
    assert cli.run(words) == 0
    printed = capsys.readouterr().out
    assert "the listing ends in the middle" in printed
    assert "the engine is as predicted" not in printed


def test_times_without_an_engine_are_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "model.onnx", "--profile", "profile.json"]) == 2
    assert "name its listing with --engine" in capsys.readouterr().err


# -- listings that are not what they should be -----------------------------------------------------

Layers = list[dict[str, Any]]


def cut_names(layers: Layers) -> Layers:
    return [{**x, "Name": x["Name"][:40]} for x in layers]


def cut_numbers(layers: Layers) -> Layers:
    """The last digit of every name is missing: `Conv_34` becomes `Conv_3`."""
    return [{**x, "Name": x["Name"][:-1]} for x in layers]


def some_names_twice(layers: Layers) -> Layers:
    convolutions = [x for x in layers if "Weights" in x]
    return [*layers, *({**x, "Inputs": x["Outputs"]} for x in convolutions[:3])]


def half_of_it(layers: Layers) -> Layers:
    return layers[: len(layers) // 2]


def without_a_residual(layers: Layers) -> Layers:
    """The last pieces of a name are missing, at a place where a name ends."""
    return [{**x, "Name": x["Name"].partition(" + Add_36")[0]} for x in layers]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_names, "pieces in their names that are no nodes of this file"),
        (cut_numbers, "kernels name nodes of this file"),
        (without_a_residual, "not named in the listing: Add_36"),
        (some_names_twice, "several nodes or kernels are called Conv_9"),
        (half_of_it, "predicted, and not named in the listing"),
    ],
)
def test_a_damaged_listing_says_what_was_compared(
    resnet: Built, damage: Callable[[Layers], Layers], words: str
) -> None:
    try:
        found = resnet.beside(damage(resnet.public.listing()["Layers"]))
    except SparqcError as error:
        pytest.fail(error.message)
    lines = list(comparison_lines(found))
    assert any(words in line for line in lines), lines
    assert "  the engine is as predicted" not in lines
    assert all(d.kind in ("split", "merged", "quantizer") for d in found.differences)


def test_what_a_listing_leaves_out_is_no_difference(resnet: Built) -> None:
    layers = resnet.public.listing()["Layers"]
    for layer in layers[1:]:
        layer.pop("Weights", None)
    for layer in layers[::3]:
        layer["Outputs"] = []
    found = resnet.beside(layers)
    assert not found.differences
    assert found.int8[1] < found.int8[0]


@pytest.mark.parametrize("other", [1, 2])
def test_the_listing_of_another_model_is_refused(resnet: Built, other: int) -> None:
    with pytest.raises(SparqcError, match=r"another model|names no node") as caught:
        resnet.beside(ENGINES[other].listing()["Layers"])
    assert "this very file" in caught.value.hint


def test_a_name_of_another_model_counts_for_nothing(resnet: Built) -> None:
    layers = resnet.public.listing()["Layers"]
    weights = {"Weights": {"Type": "Int8", "Count": 7}}
    (stem,) = (x for x in layers if x["Name"].endswith("Conv_9"))
    stem.update(weights)
    found = resnet.beside(layers)
    assert not found.whole
    assert any("Conv_9 has 9408 weights here, 7 in the listing" in n for n in found.notes)
    assert found.int8 == (21, 20)


def test_another_size_is_said_beside_the_traffic(resnet: Built) -> None:
    layers = resnet.public.listing()["Layers"]
    for layer in layers:
        for tensor in (*layer["Inputs"], *layer["Outputs"]):
            tensor["Dimensions"][0] = 1
    found = resnet.beside(layers)
    assert found.whole and not found.differences
    assert any("give --batch or --shape" in note for note in found.notes)


def test_weights_tell_a_layer_whose_node_has_another_name(resnet: Built) -> None:
    """Then other nodes may have other names too: only the precision is compared."""
    renamed = onnx.ModelProto()
    renamed.CopyFrom(resnet.model)
    for node in renamed.graph.node:
        node.name = f"my_{node.name}"
    listing = parse_inspector(json.dumps(resnet.public.listing()))
    found = compare(predict(renamed), listing, renamed)
    assert found.int8 == (21, 21)
    assert (found.groups, found.alike, found.whole) == ((0, 0), 0, False)
    assert "21 of 33 kernels name nodes of this file" in found.notes

"""What `--learn` writes of a real engine, and of which listings it writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from sparqc.declared.gpus import gpu
from sparqc.errors import SparqcError
from sparqc.predict.witnesses import witness, witnesses
from sparqc.tools import cli
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.listings.inspector import parse_inspector
from sparqc.tools.engine.listings.listing import Listing
from sparqc.tools.explain.learn import learn
from sparqc.tools.explain.prediction import predict
from tests.engine_models import float_conv, residual_block, two_four
from tests.engines.facts import ENGINES, PublicEngine
from tests.engines.witnesses import FOLDER, learned, text

RESNET = ENGINES[0]
MODEL = residual_block(True)
WORDS = ("--gpu", "a100-pcie-80gb", "--target", "tensorrt-8.6", "--built-with", "8.4")


@pytest.mark.parametrize("public", ENGINES, ids=lambda e: str(e.name))
def test_the_witnesses_of_public_engines_are_what_is_learned_of_them(public: PublicEngine) -> None:
    written = (FOLDER / f"{public.name}.toml").read_text()
    assert written == text(public), "run `python -m tests.engines.witnesses`"
    assert witness(public.name.replace("_", "-")).kernels == learned(public).kernels


# -- by hand ---------------------------------------------------------------------------------------


def kernel(name: str, *nodes: str, sparse: bool | None = None, time: float | None = None) -> Kernel:
    data = EngineTensor("secret_tensor", (8, 64, 16, 16), "int8")
    weight = EngineTensor("secret_weight", (64, 64, 3, 3), "int8")
    return Kernel(name, "CaskConvolution", (data,), (data,), (weight,), nodes, "a_tactic", sparse,
                  time=time)  # fmt: skip


FIRST = kernel("first", "conv1", "relu_4")
SECOND = kernel("second", "conv2", "add_11", "relu_12")
THIRD = kernel("third", "conv3")
BUILT = (FIRST, SECOND, THIRD)


def found(*kernels: Kernel, model: onnx.ModelProto = MODEL, **listing: Any) -> Any:
    engine = predict(model, "tensorrt-10", batch=8)
    return learn(engine, Listing(kernels, **listing), model, gpu("a40"), "10.3")


def test_sizes_types_and_epilogue_are_learned() -> None:
    seen = found(*BUILT)
    assert (seen.layers, len(seen.kernels)) == (3, 3)
    first, _, third = seen.kernels
    assert (first.k, first.c, first.rows, first.kernel, first.stride) == (
        64,
        64,
        2048,
        (3, 3),
        (1, 1),
    )
    assert (first.computes, first.reads, first.writes) == ("int8", ("int8",), ("int8",))
    assert [k.epilogue for k in seen.kernels] == [("activation",), ("add", "activation"), ()]
    assert not any(k.eligible or k.timed for k in seen.kernels)
    assert seen.head["batch"] == 8 and seen.head["compiler"] == "TensorRT"
    assert third.sparse is None


def test_int8_of_a_file_without_quantizers_was_calibrated() -> None:
    model = float_conv()
    int8 = EngineTensor("x", (8, 16, 8, 8), "int8")
    half, result = replace(int8, dtype="float16"), EngineTensor("y", (8, 16, 6, 6), "float16")
    weight = EngineTensor("w", (16, 16, 3, 3), "int8")
    built = Kernel("k", "Conv", (int8,), (result,), (weight,), ("conv",))
    seen = found(built, model=model)
    assert (seen.head["quantized"], seen.kernels[0].computes) == ("calibration", "int8")
    bias = EngineTensor("b", (16,), "float32")
    built = replace(built, inputs=(half,), constants=(replace(weight, dtype="float16"), bias))
    seen = found(built, model=model)
    assert (seen.head["quantized"], seen.kernels[0].computes) == ("none", "float16")
    assert (seen.kernels[0].reads, seen.kernels[0].writes) == (("float16",), ("float16",))


def test_where_a_kernel_ran_sparse_the_others_did_not() -> None:
    model = two_four(MODEL)
    kernels = [replace(k, sparse=k is FIRST, time=4.5) for k in BUILT]
    seen = found(*kernels, model=model)
    assert [k.sparse for k in seen.kernels] == [True, False, False]
    assert [(k.dense_us, k.sparse_us) for k in seen.kernels] == [(None, 4.5)] * 3
    assert all(k.eligible for k in seen.kernels)


def test_where_none_did_nobody_knows_whether_one_was_allowed_to() -> None:
    kernels = [replace(k, sparse=False, time=4.5) for k in BUILT]
    seen = found(*kernels, model=two_four(MODEL))
    assert [k.sparse for k in seen.kernels] == [None] * 3
    assert [(k.dense_us, k.sparse_us) for k in seen.kernels] == [(4.5, None)] * 3
    assert any("does not say whether sparse ones were allowed" in note for note in seen.notes)
    seen = found(*kernels, model=two_four(MODEL), sparsity=True)
    assert [k.sparse for k in seen.kernels] == [False] * 3


def test_a_sparse_kernel_of_a_dense_weight_is_of_another_file() -> None:
    with pytest.raises(SparqcError, match="runs conv1 sparse, which cannot be of this file"):
        found(replace(FIRST, sparse=True), SECOND, THIRD)


def test_two_layers_in_one_kernel_are_left_out() -> None:
    both = kernel("both", "conv2", "add_11", "relu_12", "conv3")
    with pytest.raises(SparqcError, match="only 1 of 3 weighted operators"):
        found(FIRST, both)


def test_most_layers_are_enough_and_the_rest_is_named() -> None:
    seen = found(FIRST, SECOND)
    assert (len(seen.kernels), seen.layers) == (2, 3)
    assert "left out: conv3 (no kernel names it)" in seen.notes


def test_other_sizes_are_told() -> None:
    small = EngineTensor("t", (1, 64, 16, 16), "int8")
    with pytest.raises(SparqcError, match="it gives 1x64x16x16 in the engine") as told:
        found(*(replace(k, outputs=(small,)) for k in BUILT))
    assert "--batch or --shape" in told.value.hint
    open_ = EngineTensor("t", (-1, 64, 16, 16), "int8")
    with pytest.raises(SparqcError, match="built for a range of sizes"):
        found(*(replace(k, outputs=(open_,)) for k in BUILT))


def test_a_listing_that_is_cut_gives_none() -> None:
    with pytest.raises(SparqcError, match="ends in the middle"):
        found(*BUILT, cut=True)


def test_one_of_another_model_gives_none() -> None:
    with pytest.raises(SparqcError, match="names no node of this model"):
        found(kernel("k", "elsewhere"))


# -- on the command line ---------------------------------------------------------------------------


@dataclass
class Folder:
    """A folder with a model, the listing and the times of its engine."""

    path: Path
    capture: pytest.CaptureFixture[str]

    def learn(self, *words: str, listing: str = "graph.json", code: int = 0) -> str:
        before = sorted(self.path.rglob("*"))
        assert cli.run(["explain", "model.onnx", "--engine", listing, "--learn", *words]) == code
        printed = self.capture.readouterr()
        if code:
            assert sorted(self.path.rglob("*")) == before, "a file was left"
            assert printed.out == "" and printed.err.startswith("error: ")
        return printed.err if code else printed.out


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Folder:
    monkeypatch.chdir(tmp_path)
    onnx.save(onnx.shape_inference.infer_shapes(RESNET.graph()), "model.onnx")
    Path("graph.json").write_text(json.dumps(RESNET.listing()))
    Path("profile.json").write_text(json.dumps(RESNET.profile()))
    return Folder(tmp_path, capsys)


def test_a_witness_is_written_and_read_again(folder: Folder) -> None:
    said = folder.learn(*WORDS, "--profile", "profile.json")
    (path,) = folder.path.glob("*.toml")
    assert f"witness in {path.name}: 21 of 21 weighted operators" in said
    assert "the engine is as predicted" in said and "21 with times, 0 ran sparse" in said
    (mine,) = (w for w in witnesses([folder.path]).values() if w.file.endswith(path.name))
    assert mine.kernels == witness("resnet18-qat").kernels
    assert cli.run(["witnesses", "--witnesses", "."]) == 0
    listed = folder.capture.readouterr().out.splitlines()
    (line,) = (line for line in listed if line.startswith(path.stem))
    assert line.split("  ")[-1] == (
        "A100 PCIe 80 GB, TensorRT 8.4, batch 32, 21 kernels, 21 timed, sparse not seen"
    )


def test_what_was_learned_is_told_of_such_layers(folder: Folder) -> None:
    kernels = [replace(k, sparse=k is FIRST) for k in BUILT]
    Path("mine").mkdir()
    Path("mine/w.toml").write_text(found(*kernels, model=two_four(MODEL)).text)
    onnx.save(onnx.shape_inference.infer_shapes(MODEL), "block.onnx")
    words = ("explain", "block.onnx", "--batch", "8", "--node", "conv1", "--gpu", "a40")
    assert cli.run([*words, "--witnesses", "mine"]) == 0
    assert "sparse ran in 1 of 2 such layers: a40-10-3-" in folder.capture.readouterr().out
    assert cli.run([*words]) == 0
    assert "witness    none of such a layer" in folder.capture.readouterr().out


def test_no_name_gets_into_it(folder: Folder) -> None:
    folder.learn(*WORDS, "--profile", "profile.json", "-o", "w.toml")
    written = Path("w.toml").read_text()
    model = onnx.load("model.onnx")
    names = {n.name for n in model.graph.node} | {i.name for i in model.graph.initializer}
    names |= {v for n in model.graph.node for v in (*n.input, *n.output)}
    names |= {layer["name"] for layer in RESNET.layers} | {"model.onnx", str(folder.path)}
    assert len(names) > 100
    assert [name for name in names if len(name) > 3 and name in written] == []
    allowed = set(re.findall(r'"([^"]*)"', written))
    assert allowed <= {
        "...", "a100-pcie-80gb", "TensorRT", "8.4", "q-dq", "conv", "matmul", "int8", "float16",
        "float32", "add", "activation", "pool",
    }  # fmt: skip


def test_a_witness_that_was_cut_is_refused_wherever_it_was(folder: Folder) -> None:
    folder.learn(*WORDS, "-o", "w.toml")
    whole = Path("w.toml").read_text()
    Path("cut").mkdir()
    start = whole.index("kernels = [")
    for end in (*range(0, start, 7), *range(start, len(whole) - 2, 97)):
        Path("cut/w.toml").write_text(whole[:end])
        with pytest.raises(SparqcError, match=r"w\.toml"):
            witnesses([Path("cut")])


def test_the_same_as_json(folder: Folder) -> None:
    data = json.loads(folder.learn(*WORDS, "-o", "w.toml", "--json"))
    assert data["learned"]["file"] == "w.toml" and data["learned"]["kernels"] == 21
    assert any("no times" in note for note in data["learned"]["notes"])
    assert data["ledger"][1]["witness"]["witness"] == "unet-resnet34-int8"
    assert data["estimates"][0]["witnesses"] == ["unet-resnet34-int8", "unet-resnet34-fp16"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (WORDS[2:], "has to know the GPU"),
        (("--gpu", "a40", *WORDS), "has to know the GPU"),
        (("--gpu", "all", *WORDS[2:]), "has to know the GPU"),
        (("--gpu", "a41", *WORDS[2:]), "nothing is known of a GPU 'a41'"),
        (WORDS[:-2], "which version of the compiler"),
        ((*WORDS, "-o", "model.onnx"), "a file that is read"),
        ((*WORDS, "-o", "./graph.json"), "a file that is read"),
    ],
)
def test_wrong_uses_are_told(folder: Folder, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in folder.learn(*words, code=2)


@pytest.mark.parametrize("words", [("--learn",), ("-o", "w.toml"), ("--built-with", "10.3")])
def test_learning_takes_an_engine(folder: Folder, words: tuple[str, ...]) -> None:
    assert cli.run(["explain", "model.onnx", *words]) == 2
    assert folder.capture.readouterr().err.count("error: ") == 1


def test_a_folder_that_is_not_there_is_told(folder: Folder) -> None:
    assert "cannot write no/w.toml" in folder.learn(*WORDS, "-o", "no/w.toml", code=3)


Damage = Callable[[str], str]


def of_others(text_: str) -> str:
    """The same names with other weights, as in another model of the same exporter."""
    layers = json.loads(text_)["Layers"]
    return json.dumps({"Layers": [
        {**x, **({"Weights": {"Type": "Int8", "Count": 7}} if "Weights" in x else {})}
        for x in layers
    ]})  # fmt: skip


def twice(text_: str) -> str:
    return json.dumps({"Layers": [*json.loads(text_)["Layers"]] * 2})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda t: t[: len(t) // 2], "the listing ends in the middle"),
        (of_others, "the listing is of another model"),
        (twice, "weighted operators, and no witness is written"),
        (lambda t: "{}", "lists no kernels"),
    ],
)
def test_no_witness_is_written_of_a_damaged_listing(
    folder: Folder, damage: Damage, sentence: str
) -> None:
    Path("bad.json").write_text(damage(Path("graph.json").read_text()))
    said = folder.learn(*WORDS, "-o", "w.toml", listing="bad.json", code=3)
    assert sentence in said and "bad.json" in said


@pytest.mark.parametrize("longest", [20, 30, 40, 50])
def test_of_names_that_were_cut_only_what_is_right_is_learned(longest: int) -> None:
    layers = [{**x, "Name": x["Name"][:longest]} for x in RESNET.listing()["Layers"]]
    model, whole = RESNET.graph(), list(learned(RESNET).kernels)
    kernels = parse_inspector(json.dumps({"Layers": layers}))
    try:
        seen = learn(predict(model, "tensorrt-8.6"), Listing(kernels), model, gpu("a40"), "8.4")
    except SparqcError as error:
        assert "and no witness is written" in error.message
        return
    rest = iter([replace(k, dense_us=None) for k in whole])
    assert all(kernel in rest for kernel in seen.kernels)


def test_weights_tell_layers_whose_nodes_have_other_names() -> None:
    model = RESNET.graph()
    for node in model.graph.node:
        node.name = f"my_{node.name}"
    kernels = parse_inspector(json.dumps(RESNET.listing()))
    seen = learn(predict(model, "tensorrt-8.6"), Listing(kernels), model, gpu("a40"), "8.4")
    whole = [replace(k, dense_us=None) for k in learned(RESNET).kernels]
    assert [replace(k, epilogue=()) for k in seen.kernels] == [
        replace(k, epilogue=()) for k in whole
    ]
    assert [k.sizes for k in seen.kernels] == [k.sizes for k in whole]
    assert any("21 layers are known by their weights alone" in note for note in seen.notes)


def test_other_sizes_than_those_of_the_engine_are_told(folder: Folder) -> None:
    text_ = Path("graph.json").read_text().replace("[32,", "[16,").replace("[32, ", "[16, ")
    Path("bad.json").write_text(text_)
    assert "another size here" in folder.learn(*WORDS, listing="bad.json", code=3)


def test_a_damaged_witness_of_ones_own_is_told(folder: Folder) -> None:
    Path("mine").mkdir()
    Path("mine/w.toml").write_text("[w]\ngpu = ")
    assert cli.run(["explain", "model.onnx", "--witnesses", "mine"]) == 3
    assert "mine/w.toml:2" in folder.capture.readouterr().err

"""One way to name a layer, `conv_1 (blocks.0.out)`: every command prints it, and takes either."""

import json

import pytest

from sparqc.tools import cli

MODEL = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.out = nn.Conv2d(32, 16, 1)

    def forward(self, x):
        return x + self.out(torch.relu(self.norm(self.conv(x))))


def model():
    torch.manual_seed(0)
    return nn.Sequential(Block(), Block()).eval()


def example_inputs():
    return (torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0)),)


def calibration():
    yield example_inputs()
"""
#: All that means the second convolution of the second block.
WORDS = ("conv_3", "1.out", "conv_3 (1.out)", "1.o*", "%conv_3", "* (1.out)")

#: Prune small layers as well.
ALL_SPARSE = ("--passes", "all-sparse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("named")
    (made / "model.py").write_text(MODEL)
    assert cli.run(["compile", f"{made}/model.py", "-o", f"{made}/model.onnx", *ALL_SPARSE]) == 0
    # The road of ONNX files: the same network in float, with its modules in the metadata.
    float_file = ["-o", f"{made}/float.onnx", "--passes", "float"]
    assert cli.run(["compile", f"{made}/model.py", *float_file]) == 0
    return made


@pytest.fixture
def said(capsys):
    def run(*words, code=0):
        capsys.readouterr()
        assert cli.run(list(map(str, words))) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    return run


@pytest.fixture(params=["model.py", "float.onnx"], ids=["fx", "onnx"])
def model(request, folder):
    return folder / request.param


def asked(said, command, model, *words, code=0):
    """An ONNX file brings no data."""
    noise = ["--random-calibration"] if model.suffix == ".onnx" else []
    return said(command, model, *words, *noise, code=code)


def compiled(said, model, *words, code=0):
    return asked(said, "compile", model, "-o", model.with_name("again.onnx"), *words, code=code)


def test_the_report_of_a_compile_names_both(said, model):
    table = compiled(said, model)
    assert "conv (0.conv) " in table
    assert "conv_3 (1.out) " in table


def test_its_json_keeps_names_and_modules_apart(said, model):
    report = json.loads(compiled(said, model, "--json"))
    rows = {row["value"]: row for row in report["layers"]}
    assert rows["conv_3"]["module"] == rows["conv_3"]["name"] == "1.out"


def test_check_explain_and_build_read_it_off_the_file(said, folder):
    file = folder / "model.onnx"
    assert "at conv (0.conv), conv_1 (0.out), conv_2 (1.conv) and 1 more" in said("check", file)
    (note, *_) = json.loads(said("check", file, "--json"))["findings"]
    assert (note["nodes"], note["modules"]) == (["conv"], ["0.conv"])
    text = said("explain", file, "--plan")
    assert "conv_3 (1.out) " in text
    assert "(4: conv (0.conv), conv_1 (0.out), conv_2 (1.conv) and 1 more)" in text
    data = json.loads(said("explain", file, "--json"))
    assert {row["node"]: row["module"] for row in data["ledger"]}["conv_3"] == "1.out"
    assert "conv_3" in data["int8_nodes"]


def test_build_names_the_float_layers(said, folder):
    pytest.importorskip("tensorrt_rtx_bindings")
    assert "conv_3 (1.out): Conv with " in said("build", folder / "float.onnx")


def test_why_and_whynot_print_it(said, model):
    assert "conv_3 (1.out):\n" in asked(said, "whynot", model, "conv_act", "1.out")
    assert "module 1.out" in asked(said, "why", model, "conv_3 (1.out)")


def test_why_says_the_rules_of_an_earlier_compile_with_their_lines(said, folder):
    text = asked(said, "why", folder / "float.onnx", "conv")
    assert "line model.py:14, module 0.conv" in text
    assert "then patterns/algebra/fold.spq:" in text
    assert " fold_batch_norm\n       An inference-mode BatchNorm is" in text


@pytest.mark.parametrize("words", WORDS)
def test_either_selects_what_stays_in_float_or_dense(said, model, words):
    exclude = json.loads(compiled(said, model, "--exclude", words, "--json"))
    assert [r["value"] for r in exclude["layers"] if not r["int8"]] == ["conv_3"]
    dense = json.loads(compiled(said, model, "--dense", words, "--json", *ALL_SPARSE))
    assert [r["value"] for r in dense["layers"] if not r["sparse"]] == ["conv_3"]


@pytest.mark.parametrize("words", WORDS)
def test_either_names_a_layer_in_the_option_of_a_pass(said, model, words):
    passes = f'float,+half{{keep=["{words}"]}}@instead=half'
    report = json.loads(compiled(said, model, "--float", "fp16", "--passes", passes, "--json"))
    kept = {k["value"] for k in report["types"]["kept"]}
    assert "conv_3" in kept and "conv_2" not in kept


@pytest.mark.parametrize("words", WORDS)
def test_either_is_asked_about(said, folder, model, words):
    assert "conv_3 = nn.conv(" in asked(said, "why", model, words)
    assert "conv_3 (1.out)" in asked(said, "whynot", model, "conv_act", words)
    kernel = said("explain", folder / "model.onnx", "--node", words)
    assert "conv_3 (1.out) with the weight" in kernel
    assert kernel.count("kernel 5 of") == kernel.count(": conv_add") == 1


def test_either_stands_in_a_file_of_layers(said, model):
    layers = model.with_name("layers.toml")
    for value in ("conv_3", "conv_3 (1.out)", "1.out"):
        layers.write_text(f'[[layer]]\nvalue = "{value}"\nkeep = "float"\n')
        report = json.loads(compiled(said, model, "--layers", layers, "--json"))
        assert [r["value"] for r in report["layers"] if not r["int8"]] == ["conv_3"]


def test_a_word_that_means_nothing_is_held_against_names_and_modules(said, folder, model):
    for word, close in (("1.uot", "'1.out'"), ("convv_3", "'conv_3'")):
        answers = [
            asked(said, "why", model, word, code=2),
            asked(said, "whynot", model, "conv_act", word, code=2),
            compiled(said, model, "--exclude", word, code=2),
            compiled(said, model, "--dense", word, code=2),
            said("explain", folder / "model.onnx", "--node", word, code=2),
        ]
        assert all("did you mean" in text and close in text for text in answers), answers

"""A compiled file says of each node where it comes from, on both roads."""

import onnx
import pytest
import torch
from torch import nn

import sparqc
from sparqc.ir.onnx.adapter import read_onnx
from sparqc.ir.vocabulary.table import default_table

IMAGES = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.out = nn.Conv2d(32, 16, 1)

    def forward(self, x):
        return x + self.out(torch.relu(self.norm(self.conv(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def compiled(model=None, passes="all-sparse", **options):
    return sparqc.compile(
        model or Net().eval(), (IMAGES,), calibration=[(IMAGES,)], passes=passes, **options
    ).model


def notes(model):
    return {n.name: {p.key: p.value for p in n.metadata_props} for n in model.graph.node}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "net.onnx"
    onnx.save(compiled(), path)
    return path


def test_each_node_says_its_module_its_line_and_its_rules(file):
    found = notes(onnx.load(file))
    assert all(entry["sparqc.source"].startswith("test_provenance.py:") for entry in found.values())
    assert found["conv"]["sparqc.module"] == "blocks.0.conv"
    assert found["conv"]["sparqc.rules"] == "prune, fold_batch_norm"
    weight = found["blocks.1.conv.weight.masked.qdq"]
    assert weight["sparqc.module"] == "blocks.1.conv"
    assert weight["sparqc.rules"] == "prune, fold_batch_norm, conv_act"


def test_nothing_in_it_says_where_somebody_keeps_their_files(file, tmp_path):
    rules = tmp_path / "sums_as_differences.spq"
    rules.write_text(
        'rule as_difference on fx preserves exact:\n    "A sum is a difference of the negative."\n'
        "    match:\n        y = nn.add(a, b)\n"
        "    rewrite:\n        n = nn.neg(b)\n        y = nn.sub(a, n)\n"
    )
    text = compiled(patterns=[rules], passes="sums-as-differences,default").SerializeToString()
    assert b"as_difference" in text
    assert str(tmp_path).encode() not in text
    assert str(__file__).rpartition("/")[0].encode() not in text


def test_read_back_it_is_what_the_compile_knew(file):
    graph = read_onnx(onnx.load(file), default_table())
    origin = graph.value("conv_2").producer.origin
    assert origin.module == "blocks.1.conv"
    assert origin.rules == ("prune", "fold_batch_norm")


def test_compiled_once_more_it_says_the_same(file):
    again = sparqc.compile(onnx.load(file), (IMAGES,), calibration=[(IMAGES,)], passes="int8").model
    before, after = notes(onnx.load(file)), notes(again)
    for name in ("conv", "conv_1", "relu", "blocks.1.conv.weight.masked.qdq"):
        for key in ("sparqc.module", "sparqc.source"):
            assert after.get(name, before[name]).get(key) == before[name].get(key)


@pytest.mark.parametrize("opset", [13, 20, 23])
def test_an_opset_that_a_person_asks_for_has_it_too(opset):
    made = compiled(passes=f"all-sparse,+export{{opset={opset}}}@instead=export")
    assert made.ir_version >= 10
    assert notes(made)["conv"]["sparqc.module"] == "blocks.0.conv"


def test_a_target_whose_parser_knows_an_older_ir_gets_a_file_without():
    made = compiled(target="tensorrt-8.6")
    assert made.ir_version == 8
    assert not any(notes(made).values())


def test_an_onnx_file_of_another_tool_keeps_what_it_calls_its_nodes(tmp_path):
    path = tmp_path / "net.onnx"
    torch.onnx.export(Net().eval(), (IMAGES,), path, dynamo=True, verbose=False)
    found = notes(compiled(onnx.load(path)))
    modules = {entry.get("sparqc.module") for entry in found.values()}
    assert {"blocks.0.out", "blocks.1.out"} <= modules

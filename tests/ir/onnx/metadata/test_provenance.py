"""Where a node comes from: written into its metadata, and read whatever stands there."""

import onnx
import pytest

from sparqc.ir.graph import Origin
from sparqc.ir.onnx.adapter import load_onnx, read_onnx, whole_model, write_onnx
from sparqc.ir.onnx.metadata.provenance import LONGEST, MOST_RULES, origin_of
from sparqc.ir.vocabulary.table import default_table
from tests.ir.onnx_models import model

TABLE = default_table()


def noted(name="", **notes):
    """A Relu with metadata; the keyword `module` stands for `sparqc.module`."""
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name=name)
    for key, value in notes.items():
        node.metadata_props.add(key=f"sparqc.{key}", value=value)
    return node


def with_origin(origin, opset=20):
    graph = read_onnx(model([noted()], opset=opset), TABLE)
    only(graph).origin = origin
    return graph


def only(graph):
    (node,) = graph.nodes
    return node


def written(origin, **options):
    made = write_onnx(with_origin(origin), TABLE, **options)
    (node,) = made.graph.node
    return {p.key: p.value for p in node.metadata_props}


def test_the_rules_are_written_by_name_each_once():
    rules = ("patterns/fold.spq:3 fold_batch_norm", "prune", "fold_batch_norm", "a.spq:9:8 mine")
    assert written(Origin("stem.act", "model.py:12", rules)) == {
        "sparqc.module": "stem.act",
        "sparqc.source": "model.py:12",
        "sparqc.rules": "fold_batch_norm, prune, mine",
    }


@pytest.mark.parametrize("folder", ["/home/me/nets/", "C:\\Users\\me\\", "nets/", ""])
def test_no_folder_of_anybody_is_written_or_read(folder):
    origin = Origin("act", f"{folder}model.py:12", (f"{folder}mine.spq:3 mine",))
    notes = written(origin)
    assert notes["sparqc.source"] == "model.py:12"
    assert notes["sparqc.rules"] == "mine"
    assert origin_of(noted(source=f"{folder}model.py:12")).source == "model.py:12"


def test_it_comes_back():
    origin = Origin("stem.act", "model.py:12", ("fold_batch_norm", "drop-zero-bias"))
    again = read_onnx(write_onnx(with_origin(origin), TABLE), TABLE)
    assert only(again).origin == origin
    assert written(origin, origins=False) == {}


@pytest.mark.parametrize(("opset", "version"), [(13, 10), (20, 10), (22, 10), (23, 11)])
def test_the_file_has_the_ir_that_knows_metadata_of_nodes(opset, version):
    made = write_onnx(with_origin(Origin("act"), opset), TABLE)
    assert made.ir_version == version
    onnx.checker.check_model(made)
    bare = write_onnx(with_origin(Origin(), opset), TABLE)
    smallest = onnx.helper.find_min_ir_version_for(bare.opset_import)
    assert bare.ir_version == smallest


# -- whatever stands there ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a" * (LONGEST + 1), "a\nb", "\x1b[31mred", "back\u202ewards", "nul\0", "tab\t"],
    ids=["long", "lines", "escape", "direction", "zero", "tab"],
)
def test_what_is_no_short_line_of_text_counts_for_nothing(text):
    assert origin_of(noted(module=text, source=text, rules=text)) == Origin()
    assert written(Origin(text, text, (text,))) == {}
    assert origin_of(noted(name=text)) == Origin(text)  # a node's name is never cut


@pytest.mark.parametrize("rules", ["", ",", ", , ", "__import__('os')", "a b, c/d", "[" * 10**6])
def test_rules_that_are_no_names_count_for_nothing(rules):
    assert origin_of(noted(module="act", rules=rules)) == Origin("act")


def test_of_many_rules_the_first_are_read():
    rules = [f"rule_{i}" for i in range(100_000)]
    assert origin_of(noted(rules=", ".join(rules))).rules == tuple(rules[:MOST_RULES])


def test_entries_of_others_and_of_the_whole_graph_are_no_origin():
    assert origin_of(noted(name="act", target="tensorrt-11", nothing="x")) == Origin("act")


def test_notes_of_the_exporter_that_are_damaged():
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'a', 'b" + "'" * 10**6)
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value='File "' * 10**6)
    found = origin_of(node)
    assert len(found.module) <= LONGEST
    assert found.source == ""


# -- what is no text ------------------------------------------------------------------------------


def damaged():
    """The bytes of a model in which metadata are no UTF-8: of the node, the graph and the model."""
    made = model([noted(module="AAAA", source="model.py:7")])
    for holder in (made, made.graph, made.graph.input[0]):
        holder.metadata_props.add(key="author", value="AAAA")
    made.ir_version = 10
    return made.SerializeToString().replace(b"AAAA", b"\xff\xfeAA")


def test_a_file_with_metadata_that_are_no_text_is_read(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(damaged())
    graph = read_onnx(load_onnx(path), TABLE)
    assert only(graph).origin == Origin("", "model.py:7")
    assert graph.native.metadata == ()


def test_a_model_in_memory_stays_as_it_is():
    given = onnx.ModelProto.FromString(damaged())
    before = given.SerializeToString()
    assert only(read_onnx(whole_model(given), TABLE)).origin == Origin("", "model.py:7")
    assert given.SerializeToString() == before


def test_a_name_that_is_no_text_is_still_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model([noted("AAAA")]).SerializeToString().replace(b"AAAA", b"\xff\xfeAA"))
    with pytest.raises(Exception, match=r"no UTF-8"):
        load_onnx(path)

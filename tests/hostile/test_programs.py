"""Exported programs that were made to act: none of them may do anything but be refused."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sparqc.errors import SparqcError
from sparqc.tools.model.program_file import read_program
from tests.hostile.programs import nodes, objects, planted, renamed, rewritten, save_program

PROGRAM = "models/model.json"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("programs") / "net.pt2"
    save_program(path)
    return path


@pytest.fixture
def refused(saved: Path, tmp_path: Path) -> Callable[..., None]:
    """Plants something, and expects that it is refused by a sentence."""

    def refused(change: Callable[[Any], object], match: str, ending: str = PROGRAM) -> None:
        path = planted(saved, tmp_path / "planted.pt2", ending, change)
        with pytest.raises(SparqcError, match=match):
            read_program(path)

    return refused


def call(name: str, *arguments: Any) -> Callable[[Any], None]:
    """Makes the first node a call of that operator."""

    def change(program: Any) -> None:
        node = nodes(program)[0]
        node["target"] = name
        node["inputs"] = [{"name": "x", "arg": a, "kind": 1} for a in arguments]

    return change


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.from_file.out",
        "torch.ops.aten.set_.source_Storage",
        "torch.ops.aten.set_.source_Tensor_storage_offset",
        "torch.ops.aten.set_data.default",
        "torch.ops.aten.resize_.default",
        "torch.ops.aten._resize_output_.default",
        "torch.ops.aten._reshape_alias.default",
        "torch.ops.aten._cuda_getCurrentRawStream",
        "torch.ops.aten._cufft_clear_plan_cache.default",
        "torch.ops.aten._print.default",
        "torch.ops.aten._sparse_csr_tensor_unsafe.default",
        "torch.ops.aten._sobol_engine_ff_.default",
        "torch.ops.aten.relu.out",
        "torch.ops.aten.relu.__class__",
        "torch.ops.aten.__dict__",
        "torch.ops.aten.no_such_operator.default",
        "torch.ops.prims.device_put.default",
        "torch.ops.prim.Print.default",
        "torch.ops.inductor.resize_storage_bytes_.default",
        "torch.ops.profiler._record_function_enter.default",
        "torch.ops.my_library.anything.default",
        "torch.ops.quantized_decomposed.dequantize_per_tensor.out",
        "torch.ops.higher_order.while_loop",
        "torch.ops.higher_order.print",
        "torch.ops.higher_order.triton_kernel_wrapper_mutation",
        "torch.ops.higher_order.run_with_rng_state",
        "torch.ops.import_module",
        "torch.ops.load_library",
        "torch.sym_fresh_size",
        "torch._sym_acos",
        "_operator.attrgetter",
        "_operator.lshift",
        "_operator.setitem",
        "math.factorial",
        "math.pow",
        "#extension:name",
        "print",
    ],
)
def test_an_operator_outside_of_the_list(refused: Callable[..., None], target: str) -> None:
    refused(call(target), "which is no operator")


def test_a_call_in_a_graph_inside_the_graph(refused: Callable[..., None]) -> None:
    def change(program: Any) -> None:
        node = {**nodes(program)[0], "target": "torch.ops.aten.from_file.default", "inputs": []}
        inner = {"inputs": [], "outputs": [], "nodes": [node]}
        argument = {"as_graph": {"name": "inner", "graph": inner}}
        nodes(program)[0]["inputs"].append({"name": "", "arg": argument, "kind": 1})

    refused(change, r"from_file.default', which is no operator")


def test_an_operator_as_an_argument(refused: Callable[..., None]) -> None:
    refused(call("torch.ops.aten.relu.default", {"as_operator": "os.system"}), "holds the object")


def test_no_file_is_written(saved: Path, tmp_path: Path) -> None:
    """The whole attack: a file is mapped, shared, and a tensor of the program copied into it."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"\1" * 64)

    def change(program: Any) -> None:
        output = "conv2d"
        node = {
            "target": "torch.ops.aten.from_file.default",
            "inputs": [
                {"name": "filename", "arg": {"as_string": str(victim)}, "kind": 1},
                {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
                {"name": "size", "arg": {"as_int": 16}, "kind": 1},
            ],
            "outputs": [{"as_tensor": {"name": "mapped"}}],
            "metadata": {},
        }
        zero = {
            "target": "torch.ops.aten.zero_.default",
            "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "mapped"}}, "kind": 1}],
            "outputs": [{"as_tensor": {"name": "cleared"}}],
            "metadata": {},
        }
        values = program["graph_module"]["graph"]["tensor_values"]
        values["mapped"] = values["cleared"] = values[output]
        nodes(program)[:0] = [node, zero]

    path = planted(saved, tmp_path / "write.pt2", PROGRAM, change)
    with pytest.raises(SparqcError, match="which is no operator"):
        read_program(path).module(check_guards=False)(torch.ones(4, 3, 8, 8))
    assert victim.read_bytes() == b"\1" * 64


def tree(kind: str | None, context: str | None, *children: Any) -> dict[str, Any]:
    return {"type": kind, "context": context, "children_spec": list(children)}


LEAF = tree(None, None)
NO_KEYWORDS = tree("builtins.dict", "[]")


def with_inputs(inputs: dict[str, Any], keywords: dict[str, Any] = NO_KEYWORDS) -> Any:
    def change(program: Any) -> None:
        spec = tree("builtins.tuple", "null", inputs, keywords)
        for item in objects(program):
            if "in_spec" in item:
                item["in_spec"] = json.dumps([1, spec])

    return change


@pytest.mark.parametrize(
    ("kind", "context"),
    [
        (
            "collections.defaultdict",
            {"default_factory_module": "antigravity", "default_factory_name": "x"},
        ),
        ("collections.namedtuple", "a.module.Point"),
        ("collections.deque", "null"),
        ("a.module.DataClass", "null"),
        ("builtins.tuple", '{"__enum__": true, "fqn": "antigravity:X", "name": "y"}'),
        ("builtins.dict", '[{"__enum__": true, "fqn": "antigravity:X", "name": "y"}]'),
    ],
)
def test_inputs_in_another_type(refused: Callable[..., None], kind: str, context: Any) -> None:
    refused(with_inputs(tree(kind, context, LEAF)), f"in a '{kind}', not in tuples")


def test_inputs_that_are_nested_without_end(refused: Callable[..., None]) -> None:
    deep = LEAF
    for _ in range(200):
        deep = tree("builtins.tuple", "null", deep)
    refused(with_inputs(deep), "in a form that is not known")


CODE = "x = open('/dev/null') #"


def test_a_keyword_that_is_code(refused: Callable[..., None]) -> None:
    keywords = tree("builtins.dict", json.dumps([CODE]), LEAF)
    refused(with_inputs(tree("builtins.tuple", "null"), keywords), "the keyword .* is no name")


@pytest.mark.parametrize("old", ["x", "conv2d"])
def test_a_name_that_is_code(refused: Callable[..., None], old: str) -> None:
    refused(lambda program: renamed(program, old, CODE), "the name .* is none in Python")


def test_a_parameter_that_leaves_its_quotes(refused: Callable[..., None]) -> None:
    name = 'conv."), print(1), ("x'
    refused(lambda program: renamed(program, "conv.bias", name), "none of a parameter")
    with_names = "data/weights/model_weights_config.json"

    def rename(config: Any) -> None:
        config["config"][name] = config["config"].pop("conv.bias")

    refused(rename, "none of a parameter", with_names)


def test_names_of_arguments_that_are_code(refused: Callable[..., None]) -> None:
    def change(program: Any) -> None:
        for item in objects(program):
            if "forward_arg_names" in item:
                item["forward_arg_names"] = [CODE]

    refused(change, "the name .* is none in Python")


def test_an_argument_that_is_missing_in_front_of_another(refused: Callable[..., None]) -> None:
    def change(program: Any) -> None:
        (node,) = (n for n in nodes(program) if "conv2d" in n["target"])
        stride = {"name": "stride", "arg": {"as_ints": [0, -3]}, "kind": 1}
        node["inputs"] = [*node["inputs"][:2], stride]

    refused(change, "whose arguments are in disorder")


@pytest.mark.parametrize("argument", [{"as_ints": [1]}, {"as_string": "x"}])
def test_an_argument_of_another_kind(refused: Callable[..., None], argument: Any) -> None:
    def change(program: Any) -> None:
        (node,) = (n for n in nodes(program) if "conv2d" in n["target"])
        node["inputs"][1]["arg"] = argument

    refused(change, "with another kind of 'weight'")


def with_size(text: str) -> Callable[[Any], None]:
    def change(program: Any) -> None:
        for item in objects(program):
            if "expr_str" in item:
                item["expr_str"] = text

    return change


SYMBOL = "Symbol('s0', integer=True)"


@pytest.mark.parametrize(
    "size",
    [
        "Pow(Integer(9), Pow(Integer(9), Pow(Integer(9), Integer(9))))",
        "Pow(9, Pow(9, Pow(9, 9)))",
        f"Pow({SYMBOL}, {SYMBOL})",
        "Pow(Pow(Pow(Integer(9), Integer(16)), Integer(16)), Integer(16))",
        "PowByNatural(Integer(2), Integer(1000000000000))",
        "LShift(Integer(1), Integer(1000000000000))",
        "factorial(Integer(100000000))",
        "Mul(" + ", ".join(["Integer(9223372036854775807)"] * 40) + ")",
        "Mul("
        + ", ".join(f"Add(Symbol('a{i}'), Symbol('b{i}'), Symbol('c{i}'))" for i in range(12))
        + ")",
        "FloorDiv(" * 100 + SYMBOL + ", Integer(2))" * 100,
        f"Add({', '.join([SYMBOL] * 4000)})",
        "Max(" + ", ".join(f"Symbol('a{i}', integer=True)" for i in range(200)) + ")",
        f"Integer({'9' * 5000})",
        "Float('1e999999999', precision=53)",
        "Float('1.5', precision=999999999)",
        "Rational(1, 0)",
        "Integer('__import__(\"antigravity\")')",
        "Symbol('s0', integer=exec)",
        "Symbol('s0', **{})",
        "Symbol(*[1])",
        "Symbol('s__0')",
        "sympify('1')",
        "2 ** 99999999999",
        "s0",
    ],
)
def test_a_size_that_is_no_small_arithmetic(refused: Callable[..., None], size: str) -> None:
    refused(with_size(size), "which is no arithmetic")


def multiplied(times: int) -> Callable[[Any], None]:
    def change(program: Any) -> None:
        index = next(i for i, n in enumerate(nodes(program)) if n["target"] == "_operator.mul")
        node = nodes(program)[index]
        name = before = node["outputs"][0]["as_sym_int"]["as_name"]
        for i in range(times):
            operand = {"as_sym_int": {"as_name": before}}
            before = f"{name}_{i}"
            copy = {**node, "inputs": [{"name": "", "arg": operand, "kind": 1}] * 2}
            copy |= {"outputs": [{"as_sym_int": {"as_name": before}}], "name": before}
            values = program["graph_module"]["graph"]["sym_int_values"]
            values[before] = values[name]
            nodes(program).insert(index + 1 + i, copy)

    return change


def test_numbers_that_grow_call_by_call(refused: Callable[..., None]) -> None:
    refused(multiplied(60), "whose number is too large")


def test_a_symbol_that_torch_would_count_to(refused: Callable[..., None]) -> None:
    def change(program: Any) -> None:
        program["range_constraints"]["u1000000000000"] = {"min_val": 0, "max_val": 9}

    refused(change, "whose number is too large")


def test_a_number_of_more_than_64_bits(refused: Callable[..., None]) -> None:
    refused(lambda program: program.update(more=10**40), "fits no 64 bits")


def meta(key: str, value: Any) -> Callable[[Any], None]:
    def change(config: Any) -> None:
        config["config"]["conv.weight"]["tensor_meta"][key] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        meta("sizes", [{"as_int": n} for n in (4, 3, 3, 4000)]),
        meta("strides", [{"as_int": n} for n in (27, 9, 3, 1000)]),
        meta("storage_offset", {"as_int": 1}),
        meta("sizes", [{"as_int": -4}] * 4),
        meta("sizes", [{"as_int": 4}]),
    ],
)
def test_a_weight_outside_of_its_data(refused: Callable[..., None], change: Any) -> None:
    refused(change, "of a weight|the weight", "data/weights/model_weights_config.json")


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "custom_obj_0", "x/weight_0"])
def test_a_weight_in_another_file(refused: Callable[..., None], file: str) -> None:
    def change(config: Any) -> None:
        config["config"]["conv.weight"]["path_name"] = file

    refused(change, "the pickled object", "data/weights/model_weights_config.json")


def test_packed_entries(saved: Path, tmp_path: Path) -> None:
    packed = rewritten(
        saved, tmp_path / "p.pt2", lambda _, content: content, compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(SparqcError, match="the packed entry"):
        read_program(packed)


def test_two_entries_of_one_name(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "twice.pt2", lambda _, content: content)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(next(n for n in archive.namelist() if n.endswith(PROGRAM)), b"{}")
    with pytest.raises(SparqcError, match="two entries"):
        read_program(path)


def test_entries_that_nothing_reads_are_not_handed_on(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "more.pt2", lambda _, content: content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/../../etc/passwd", b"x")
        archive.writestr("net/models/other.json", b"{")
        archive.writestr("net/data/weights/weight_99", b"x")
    assert read_program(path).graph_signature.user_inputs == ("x",)


def test_metadata_is_kept_as_text_only(saved: Path, tmp_path: Path) -> None:
    def change(program: Any) -> None:
        nodes(program)[0]["metadata"] |= {"source_fn_stack": "x,torch.load", "custom": "{"}

    path = planted(saved, tmp_path / "metadata.pt2", PROGRAM, change)
    kept = [node.meta for node in read_program(path).graph.nodes if node.op == "call_function"]
    assert "source_fn_stack" not in kept[0]
    assert kept[0]["nn_module_stack"]


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{" * 5, b"[1]", b"\xff\xfe", b"9" * 5000])
@pytest.mark.parametrize("ending", [PROGRAM, "model_weights_config.json"])
def test_json_that_is_none(saved: Path, tmp_path: Path, content: bytes, ending: str) -> None:
    def change(entry: str, old: bytes) -> bytes:
        return content if entry.endswith(ending) else old

    with pytest.raises(SparqcError):
        read_program(rewritten(saved, tmp_path / "broken.pt2", change))

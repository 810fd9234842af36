"""A third-party package brings a pass, a native, an operator, a pattern file, a preset, a target, a
witness.

tests/plugin is installed as anybody's package would be, and looked at by a Python of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).parent / "plugin"

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed plug-in and nothing else."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(PLUGIN, source)  # setuptools leaves things beside what it builds
    folder = tmp_path_factory.mktemp("installed")
    options = ("-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder))
    python("-m", "pip", "install", *options, str(source))
    return folder


@pytest.fixture
def second(installed: Path, tmp_path: Path) -> Callable[[Change], tuple[Path, Path]]:
    """Both the plug-in and a copy of it under the name sparqc-copy, with a change made to it."""

    def second(change: Change) -> tuple[Path, Path]:
        copy = tmp_path / "copy"
        shutil.copytree(installed, copy)
        (copy / "sparqc_toy").rename(copy / "sparqc_copy")
        next(copy.glob("*.dist-info")).rename(copy / "sparqc_copy-1.0.dist-info")
        for file in copy.rglob("*"):
            if file.suffix in (".py", ".txt") or file.name == "METADATA":
                text = file.read_text().replace("sparqc_toy", "sparqc_copy")
                file.write_text(text.replace("Name: sparqc-toy", "Name: sparqc-copy"))
        change(copy)
        return installed, copy

    return second


def python(*arguments: str, paths: tuple[Path, ...] = ()) -> str:
    """The output of a Python that sees packages in these folders too, before all others."""
    seen = [*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(seen)}
    done = subprocess.run(
        [sys.executable, *arguments], text=True, capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, f"python {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


LOOK = """
import json
from sparqc.base.plugins import distribution_of
from sparqc.declared.targets import profiles
from sparqc.extend import default_table, parse, passes
from sparqc.pipeline.presets import presets
from sparqc.pipeline.installed import pattern_files
from sparqc.predict.witnesses import witnesses

passes()
print(json.dumps({
    "passes": {name: distribution_of(cls.__module__) for name, cls in passes().items()},
    "files": {file.label: file.distribution for file in pattern_files()},
    "operators": default_table().names,
    "presets": list(presets()),
    "toy preset": str(parse("toy")),
    "targets": list(profiles()),
    "witnesses": {w.name: w.file for w in witnesses().values()},
}))
"""


@pytest.fixture(scope="module")
def found(installed: Path) -> dict[str, Any]:
    return json.loads(python("-c", LOOK, paths=(installed,)))


def test_its_pass_is_listed(found: dict[str, Any]) -> None:
    assert found["passes"]["drop-zero-bias"] == "sparqc-toy"
    assert found["passes"]["prune"] == "sparqc"


def test_its_pattern_file_is_found_and_its_rules_are_a_pass(found: dict[str, Any]) -> None:
    assert found["files"]["sparqc_toy/patterns/algebra/toy_algebra.spq"] == "sparqc-toy"
    assert "toy-algebra" in found["passes"]


def test_its_operator_is_in_the_table(found: dict[str, Any]) -> None:
    assert "toy.frac" in found["operators"]
    assert "nn.conv" in found["operators"]


def test_its_preset_builds_on_a_built_in_one(found: dict[str, Any]) -> None:
    assert "toy" in found["presets"]
    assert "fold, drop-zero-bias{tolerance=1e-06}, attention, place" in found["toy preset"]


def test_its_target_is_listed_and_the_default_stays(found: dict[str, Any]) -> None:
    assert found["targets"][-1] == "toy-1"
    assert "tensorrt-11" in found["targets"]


def test_its_witness_is_read_beside_the_built_in_ones(found: dict[str, Any]) -> None:
    assert found["witnesses"]["toy-engine"] == "sparqc_toy/patterns/witnesses/toy.toml"
    assert "unet-resnet34-int8" in found["witnesses"]


RUN = """
import numpy as np
from sparqc.extend import Action, Context, Graph, TensorType
from sparqc.extend import default_table, parse, profile, rulebook, run

graph = Graph("fx")
types = [TensorType("f32", (1, 2, 4, 4))]
x = graph.add_input("x", types[0])
w, b = graph.constant(np.ones((2, 2, 1, 1), np.float32), "w"), graph.constant(np.zeros(2), "b")
attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
conv = graph.create("nn.conv", {"x": x, "w": w, "b": b}, attributes, types=types)
first = graph.create("toy.frac", {"x": conv.output}, types=types)
second = graph.create("toy.frac", {"x": first.output}, types=types)
half = graph.create("toy.frac", {"x": graph.constant(np.float32([1.5, -2.25]), "k")}, types=types)
graph.set_outputs([second.output, half.output])
context = Context(default_table(), rulebook(), profile("toy-1"), Action())
run(parse("drop-zero-bias, toy-algebra"), graph, context)
print([node.op for node in graph.nodes], conv.operands["b"])
print(graph.outputs[1].producer.operands["x"].data)
"""


def test_its_pass_its_rules_and_its_native_run(installed: Path) -> None:
    nodes, numbers = python("-c", RUN, paths=(installed,)).splitlines()[-2:]
    assert nodes == "['nn.conv', 'toy.frac', 'nn.identity'] None"
    assert numbers == "[ 0.5  -0.25]"


TRAITS = """
from sparqc.extend import Action, Context, default_profile, default_table
from sparqc.extend import parse, parse_statements, predict_graph, profile, rulebook, run
from sparqc.passes.equalize.group import channel_groups
from sparqc.passes.permute.orders import orders_of
from sparqc.passes.permute.segments import resolve

table = default_table()
for op in ("toy.lift", "toy.frac", "toy.noise"):
    graph = parse_statements(f\"\"\"
x: f32[1, 4, 6, 6]
v: const f32[8, 4, 1, 1]
w: const f32[4, 8, 1, 1]
a = nn.conv(x, v)
b = {op}(a)
y = nn.conv(b, w)
\"\"\", table, "fx")
    layout = orders_of(graph, table).layout((graph.value("w"), 1))
    free = not any(segment.reasons for segment, _ in resolve(layout))
    print(op, "permuted" if free else "", channel_groups(graph, table)[0].reason or "equalized")

graph = parse_statements(\"\"\"
k: const f32[4] = [1.5, 2.5, 3.5, 4.5]
n = toy.noise(k)
l = toy.lift(k)
y = nn.add(n, l)
\"\"\", table, "fx")
context = Context(table, rulebook(), default_profile(), Action())
run(parse("fold-constants"), graph, context)
print([node.op for node in graph.nodes])

graph = parse_statements("x: f32[2, 4]\\na = toy.softsign(x)\\ny = nn.relu(a)", table, "onnx")
context = Context(table, rulebook(), profile("tensorrt-11"), Action())
print([(k.kind, k.operators) for k in predict_graph(graph, context).kernels])
"""


def test_what_its_operators_declare_is_known_everywhere(installed: Path) -> None:
    """Permuting, equalizing, folding and predicting, none of which name an operator of it."""
    assert python("-c", TRAITS, paths=(installed,)).splitlines() == [
        "toy.lift permuted equalized",
        "toy.frac permuted toy.frac ('b') lets no factors pass",
        "toy.noise  toy.noise ('b') lets no factors pass",
        "['toy.noise', 'nn.add']",
        "[('pointwise', ('toy.softsign', 'nn.relu'))]",
    ]


# -- clashes and broken plug-ins -------------------------------------------------------------------


def failure(call: str, paths: tuple[Path, ...]) -> str:
    """The message of the SparqcError that a call raises."""
    program = (
        "from sparqc.extend import SparqcError, default_table, passes\n"
        "from sparqc.pipeline.presets import presets\n"
        f"try: {call}\n"
        "except SparqcError as error: print(error)\n"
    )
    return python("-c", program, paths=paths)


def remove(*names: str) -> Change:
    """A change that leaves only what a clash is about."""

    def change(folder: Path) -> None:
        for name in names:
            target = folder / "sparqc_copy" / name
            shutil.rmtree(target) if target.is_dir() else target.unlink()

    return change


def test_two_passes_of_one_name(second: Callable[..., tuple[Path, ...]]) -> None:
    said = failure("passes()", second(remove("patterns/algebra")))
    assert "two passes are named 'drop-zero-bias'" in said
    assert "of the distribution 'sparqc-toy'" in said
    assert "of the distribution 'sparqc-copy'" in said


def test_two_operators_of_one_name(second: Callable[..., tuple[Path, ...]]) -> None:
    said = failure("default_table()", second(lambda folder: None))
    assert "'toy.frac'" in said
    assert "sparqc-toy" in said and "sparqc-copy" in said


def test_two_presets_of_one_name(second: Callable[..., tuple[Path, ...]]) -> None:
    said = failure("presets()", second(lambda folder: None))
    assert "two presets are named 'toy'" in said
    assert "of the distribution 'sparqc-toy'" in said and "'sparqc-copy'" in said


def test_a_pass_that_cannot_be_imported(second: Callable[..., tuple[Path, ...]]) -> None:
    def change(folder: Path) -> None:
        (folder / "sparqc_copy/passes/drop_zero_bias.py").write_text("import nowhere_to_be_found")

    said = failure("passes()", second(change))
    assert "the plug-in 'sparqc-copy' cannot be loaded: ModuleNotFoundError" in said
    assert "drop_zero_bias.py:1" in said
    assert "entry point: toy = 'sparqc_copy.passes' in [sparqc.passes]" in said
    assert "pip uninstall sparqc-copy" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 / 0", "the plug-in 'sparqc-copy' cannot be loaded: ZeroDivisionError"),
        ("OPERATORS = 3", "entry point 'toy' of sparqc-copy gives no operators"),
    ],
)
def test_operators_that_cannot_be_taken(
    second: Callable[..., tuple[Path, ...]], text: str, says: str
) -> None:
    paths = second(lambda folder: (folder / "sparqc_copy/operators.py").write_text(text))
    assert says in failure("default_table()", paths)


def test_patterns_that_are_no_package(second: Callable[..., tuple[Path, ...]]) -> None:
    def change(folder: Path) -> None:
        shutil.rmtree(folder / "sparqc_copy/patterns")
        (folder / "sparqc_copy/patterns.py").write_text("")

    said = failure("presets()", second(change))
    assert "sparqc_copy.patterns is a module; pattern files lie in a package" in said

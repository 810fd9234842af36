"""Target profiles: what the installed ones say, and what is refused in a file of profiles."""

import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparqc.base import toml_tables
from sparqc.base.plugins import DataFile
from sparqc.declared import targets
from sparqc.declared.targets import Profile, default_profile, profile, profiles
from sparqc.errors import SparqcError, UsageError
from sparqc.pipeline import presets

ROOT = Path(__file__).parents[2]

GOOD = """
[box-1]
doc = "A box."
compiler = "the box compiler"
opset = 18
min_opset = 17
max_opset = 20
weight_form = "int8-dq"
build = ["box", "build", "{onnx}", "-o", "{engine}"]
build_shapes = ["--shape={opt}"]
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lets the given texts be the profiles.toml (or presets.toml) of as many distributions."""

    def install(*texts: str) -> None:
        files = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.toml"
            path.write_text(text)
            files.append(DataFile(f"box/{number}.toml", f"box-{number}", path))
        monkeypatch.setattr(toml_tables, "data_files", lambda ending: tuple(files))
        monkeypatch.setattr(targets, "profiles", profiles.__wrapped__)
        monkeypatch.setattr(presets, "presets", presets.presets.__wrapped__)

    return install


def refusal() -> str:
    with pytest.raises(SparqcError) as caught:
        targets.profiles()
    return str(caught.value)


# -- the installed ones --------------------------------------------------------------------------


def test_the_profiles_that_issue_and_documentation_promise() -> None:
    tensorrt = {"tensorrt-8.6", "tensorrt-10", "tensorrt-11", "tensorrt-rtx"}
    assert set(profiles()) == {*tensorrt, "onnxruntime"}
    assert default_profile() is profile("tensorrt-11")


@pytest.mark.parametrize(
    ("name", "newest"), [("tensorrt-10", 24), ("tensorrt-11", 25), ("tensorrt-rtx", 26)]
)
def test_later_ones_take_int8_weights(name: str, newest: int) -> None:
    found = profile(name)
    assert found.weight_form == "int8-dq"
    assert (found.min_opset, found.opset, found.max_opset) == (9, 20, newest)


def test_8_6_takes_float_weights_opset_17_and_wants_zero_points() -> None:
    old = profile("tensorrt-8.6")
    assert old.weight_form == "float-q-dq"
    assert (old.opset, old.max_opset, old.zero_point_input) == (17, 17, True)
    assert old.scale_dtypes == ("f32",)


def test_an_unknown_target() -> None:
    with pytest.raises(UsageError, match="did you mean 'tensorrt-11'") as caught:
        profile("tensorrt11")
    assert caught.value.exit_code == 2


def test_an_opset_that_the_target_does_not_read() -> None:
    assert profile("tensorrt-8.6").require_opset(13) == 13
    with pytest.raises(UsageError, match=r"opset 18 is not read by the target 'tensorrt-8\.6'"):
        profile("tensorrt-8.6").require_opset(18)


def test_an_opset_that_is_read_and_not_written() -> None:
    assert profile("tensorrt-11").oldest_written == 13
    with pytest.raises(
        UsageError, match=r"no file of opset 12 is written: .* have no axis\n.*13 to 25"
    ):
        profile("tensorrt-11").require_opset(12)


IMAGES = {"x": ((1, 3, 8, 8), (8, 3, 8, 8), (16, 3, 8, 8))}


def line(target: str, shapes: dict[str, Any] = IMAGES) -> list[str]:
    return shlex.split(profile(target).build_command(Path("model.onnx"), shapes))


def test_the_line_that_builds_an_engine_and_lists_its_layers() -> None:
    shapes = {"x": ((1, 3), (8, 3), (32, 3)), "y": ((1,), (8,), (32,))}
    build = profile("tensorrt-11").build_command(Path("my model.onnx"), shapes, Path("m.engine"))
    assert build == (
        "trtexec '--onnx=my model.onnx' --saveEngine=m.engine --sparsity=enable "
        "--minShapes=x:1x3,y:1 --optShapes=x:8x3,y:8 --maxShapes=x:32x3,y:32 "
        "--profilingVerbosity=detailed --dumpLayerInfo '--exportLayerInfo=my model.layers.json'"
    )


@pytest.mark.parametrize("target", ["tensorrt-8.6", "tensorrt-10", "tensorrt-11"])
def test_trtexec_builds_with_sparsity(target: str) -> None:
    words = line(target)
    assert words[:3] == ["trtexec", "--onnx=model.onnx", "--saveEngine=model.plan"]
    assert {"--sparsity=enable", "--exportLayerInfo=model.layers.json"} <= set(words)


def test_precision_flags_are_gone_from_11_on() -> None:
    weak = {name for name in profiles() if {"--int8", "--fp16"} <= set(line(name))}
    assert weak == {name for name, found in profiles().items() if not found.strongly_typed}


def test_rtx_has_a_binary_of_its_own() -> None:
    words = line("tensorrt-rtx")
    assert words[0] == "tensorrt_rtx"
    assert not any(word.startswith("--exportLayerInfo") for word in words)


def test_a_fixed_model_takes_no_shapes() -> None:
    assert not any("Shapes" in word for word in line("tensorrt-11", {}))


def test_a_name_with_a_colon_is_quoted_for_shape_options() -> None:
    assert "--optShapes='in:0':8x3x8x8" in line("tensorrt-11", {"in:0": IMAGES["x"]})


def test_the_profiles_stand_in_the_patterns_folder_alone() -> None:
    files = sorted((ROOT / "patterns").glob("*/profiles.toml"))
    assert [name for f in files for name in tomllib.loads(f.read_text())] == list(profiles())


# -- files of others -----------------------------------------------------------------------------


def test_another_file_brings_another_target(install: Install) -> None:
    install(GOOD)
    box = targets.profile("box-1")
    assert box == Profile(
        "box-1", "A box.", "the box compiler", 18, 17, 20, "int8-dq",
        build=("box", "build", "{onnx}", "-o", "{engine}"), build_shapes=("--shape={opt}",),
    )  # fmt: skip
    assert box.build_command(Path("a"), {}, Path("b")) == "box build a -o b"


def test_two_distributions_with_one_target(install: Install) -> None:
    install(GOOD, GOOD)
    said = refusal()
    assert "two target profiles are named 'box-1'" in said
    assert "'box-0'" in said and "'box-1'" in said


def test_no_default(install: Install) -> None:
    install(GOOD)
    with pytest.raises(UsageError, match="no target is the default one\n  known: box-1"):
        default_profile()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("opset = 18", "opset = ", "box/0.toml:5:9: Invalid value"),
        ("opset = 18", 'opset = "18"', "box/0.toml, table [box-1]: 'opset' takes an integer"),
        ("opset = 18", "opset = 21", "opset does not lie between min_opset and max_opset"),
        ("opset = 18", "opest = 18", "unknown key 'opest'\n  did you mean 'opset'"),
        ('compiler = "the box compiler"', "", "'compiler' is missing"),
        ('"int8-dq"', '"int8"', '\'weight_form\' takes one of "int8-dq", "float-q-dq"'),
        ("[box-1]", "box = 1\n[box-1]", "table [box]: is no table"),
    ],
)
def test_a_broken_profile(install: Install, old: str, new: str, says: str) -> None:
    install(GOOD.replace(old, new, 1))
    assert says in refusal()


# -- presets ---------------------------------------------------------------------------------------


def test_the_installed_presets_say_what_they_are() -> None:
    assert {"default", "int8", "sparse", "float"} <= set(presets.presets())
    assert all(preset.help for preset in presets.presets().values())


def test_two_distributions_with_one_preset(install: Install) -> None:
    text = '[mine]\nhelp = "h"\npasses = "fold"\n'
    install(text, text)
    with pytest.raises(SparqcError, match="two presets are named 'mine'"):
        presets.presets()

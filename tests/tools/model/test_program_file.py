"""Exported programs: what is read, and what is refused because reading it could run code."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sparqc.capture.capture import capture
from sparqc.errors import SparqcError
from sparqc.tools.model.loading import load
from sparqc.tools.model.program_file import read_program


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("scale", torch.full((4, 1, 1), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x) * self.scale + torch.tensor([1.0])
        return y.reshape(2 * x.shape[0], 72)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("programs") / "net.pt2"
    batch = torch.export.Dim("batch", min=2, max=64)
    inputs = (torch.ones(4, 3, 8, 8),)
    torch.manual_seed(0)
    program = torch.export.export(Net().eval(), inputs, dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return path


@pytest.fixture
def altered(saved: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a copy in which one entry has another content."""

    def altered(ending: str, change: Callable[[bytes], bytes], add: bool = False) -> Path:
        path = tmp_path / "altered.pt2"
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
            for entry in old.namelist():
                content = old.read(entry)
                new.writestr(entry, change(content) if entry.endswith(ending) else content)
            if add:
                new.writestr(f"net/{ending}", change(b""))
        return path

    return altered


def edited(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        data = json.loads(content)
        change(data)
        return json.dumps(data).encode()

    return edit


fired: list[str] = []


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return fire, ("unpickled",)


def fire(mark: str) -> str:
    fired.append(mark)
    return mark


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    fired.clear()
    yield
    assert not fired, "the file ran code"


def test_a_program_with_a_dynamic_batch(saved: Path) -> None:
    loaded = load(str(saved))
    assert loaded.kind == "program"
    assert [tuple(x.shape) for x in loaded.inputs] == [(4, 3, 8, 8)]
    x = torch.ones(6, 3, 8, 8)
    torch.testing.assert_close(loaded.module(x), loaded.program.module()(x))
    assert loaded.module(x).shape == (12, 72)


def test_the_module_of_a_program_can_be_captured(saved: Path) -> None:
    loaded = load(str(saved))
    graph = capture(loaded.module, loaded.inputs).graph
    assert [node.op for node in graph.nodes][:3] == ["nn.conv", "nn.mul", "nn.add"]
    assert graph.inputs[0].shape[1:] == (3, 8, 8)


def test_described_inputs_replace_the_stored_ones(saved: Path) -> None:
    assert load(str(saved), inputs=["2x3x8x8"]).inputs[0].shape == (2, 3, 8, 8)


def test_a_submodule_has_to_be_taken_earlier(saved: Path) -> None:
    with pytest.raises(SparqcError, match="no submodules any more"):
        load(str(saved), submodule="conv")


def test_a_file_that_is_cut_off(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pt2"
    path.write_bytes(saved.read_bytes()[:2000])
    with pytest.raises(SparqcError, match="it is damaged"):
        read_program(path)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt2"
    torch.save({"w": torch.ones(2)}, path)
    with pytest.raises(SparqcError, match="holds no exported program"):
        read_program(path)


def test_a_program_that_torch_does_not_take(altered: Callable[..., Path]) -> None:
    path = altered("models/model.json", edited(lambda d: d.update(schema_version={"major": 999})))
    with pytest.raises(SparqcError, match="cannot be loaded by torch"):
        read_program(path)


def test_a_pickled_weight_is_refused(altered: Callable[..., Path]) -> None:
    def mark(config: Any) -> None:
        config["config"]["conv.bias"]["use_pickle"] = True

    path = altered("weights/model_weights_config.json", edited(mark))
    with pytest.raises(SparqcError, match=r"the pickled object 'conv.bias'"):
        read_program(path)


def test_a_pickled_constant_is_refused(altered: Callable[..., Path]) -> None:
    def mark(config: Any) -> None:
        next(iter(config["config"].values()))["path_name"] = "opaque_obj_0"

    path = altered("constants/model_constants_config.json", edited(mark))
    with pytest.raises(SparqcError, match="could run code from the file"):
        read_program(path)


def test_pickled_example_inputs_are_not_unpickled(altered: Callable[..., Path]) -> None:
    buffer = io.BytesIO()
    torch.save(((Bomb(),), {}), buffer)
    with pytest.raises(SparqcError, match="cannot be loaded"):
        read_program(altered("sample_inputs/model.pt", lambda _: buffer.getvalue()))


def test_weights_of_the_old_form_are_not_unpickled(altered: Callable[..., Path]) -> None:
    path = altered("data/weights/model.pt", lambda _: pickle.dumps(Bomb(), protocol=2), add=True)
    with pytest.raises(SparqcError, match="cannot be loaded"):
        read_program(path)


def test_a_compiled_library_is_refused(altered: Callable[..., Path]) -> None:
    path = altered("data/aotinductor/model/code.so", lambda _: b"ELF", add=True)
    with pytest.raises(SparqcError, match="a compiled library"):
        read_program(path)


@pytest.mark.parametrize("target", ["torch.load", "torch.ops.load_library", "builtins.exec"])
def test_a_call_of_no_operator_is_refused(altered: Callable[..., Path], target: str) -> None:
    def call(program: Any) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    with pytest.raises(SparqcError, match="which is no operator"):
        read_program(altered("models/model.json", edited(call)))


@pytest.mark.parametrize(
    "size", ["exec(chr(112))", "Symbol('s0').__class__", "[1][0]", "Symbol('a b')", "(exec)(1)"]
)
def test_a_size_that_is_code_is_refused(altered: Callable[..., Path], size: str) -> None:
    def change(content: bytes) -> bytes:
        data = json.loads(content)
        _replace_sizes(data, size)
        return json.dumps(data).encode()

    with pytest.raises(SparqcError, match="which is no arithmetic"):
        read_program(altered("models/model.json", change))


def _replace_sizes(content: Any, size: str) -> None:
    if isinstance(content, dict):
        if "expr_str" in content:
            content["expr_str"] = size
        for value in content.values():
            _replace_sizes(value, size)
    elif isinstance(content, list):
        for value in content:
            _replace_sizes(value, size)

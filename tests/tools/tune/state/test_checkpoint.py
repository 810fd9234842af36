"""Checkpoints: whole or not there, of this run or refused, and nothing in them is executed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.tune.identity import differences, identity_of
from sparqc.tools.tune.state.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from sparqc.tools.tune.state.store import Store

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "scalar": torch.tensor(1.5, dtype=torch.bfloat16),
    "mask": torch.tensor([True, False]),
    "none": torch.zeros(0, 4),
}
STATE = {"step": 12, "loss": 0.1, "rows": [{"name": "top-1"}]}


def written(folder: Path) -> Path:
    path = folder / "a.safetensors"
    write_checkpoint(path, Checkpoint(TENSORS, STATE))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = read_checkpoint(written(tmp_path))
    assert found.state == STATE and set(found.tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@settings(max_examples=30)
@given(st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = written(tmp_path_factory.mktemp("cut"))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SparqcError, match="is damaged"):
        read_checkpoint(path)


def test_one_wrong_bit_anywhere_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path).read_bytes()
    broken = tmp_path / "broken.safetensors"
    for position in random.Random(0).sample(range(len(data)), 60):
        changed = bytearray(data)
        changed[position] ^= 4
        broken.write_bytes(changed)
        try:
            found = read_checkpoint(broken)
        except SparqcError:
            continue
        # Blanks that pad the header, or names in it that only this file knows, mean nothing.
        assert found.state == STATE
        assert all(torch.equal(found.tensors[n], TENSORS[n]) for n in TENSORS)


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "weights.safetensors")
    torch.save({"x": 1}, tmp_path / "pickled.safetensors")
    with pytest.raises(SparqcError, match="is no checkpoint of sparqc tune"):
        read_checkpoint(tmp_path / "weights.safetensors")
    with pytest.raises(SparqcError, match="is damaged"):
        read_checkpoint(tmp_path / "pickled.safetensors")
    head = json.dumps({"format": "sparqc tune checkpoint 9", "state": "{}", "hash": ""})
    save_file({"x": torch.ones(1)}, tmp_path / "new.safetensors", {"sparqc": head})
    with pytest.raises(SparqcError, match="which this version does not read"):
        read_checkpoint(tmp_path / "new.safetensors")


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(SparqcError, match="cannot be written: No such file"):
        write_checkpoint(tmp_path / "gone" / "a.safetensors", Checkpoint(TENSORS, STATE))


# -- the folder --------------------------------------------------------------------------------


def store(folder: Path, seed: int = 0, width: int = 4, said: list[str] | None = None, **settings):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(4, width), nn.ReLU())
    lines = [] if said is None else said
    return Store(folder, identity_of(module, {"--lr": 0.1, **settings}), lines.append)


def step(number: int) -> Checkpoint:
    return Checkpoint({"x": torch.tensor(number)}, {"step": number})


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_last_two_steps_are_kept_and_of_a_stage_that_ended_its_result(tmp_path: Path) -> None:
    one = store(tmp_path / "run")
    assert one.begin(resume=True) is None
    for number in (5, 10, 1000):
        one.save("sparse", number, step(number))
    assert names(one.folder) == [
        "1-sparse-000000010.safetensors",
        "1-sparse-000001000.safetensors",
    ]
    assert one.result("sparse") is None
    one.end("sparse", step(1001))
    one.save("qat", 3, step(3))
    assert names(one.folder) == ["1-sparse-end.safetensors", "2-qat-000000003.safetensors"]
    newest, result = one.begin(resume=True), one.result("sparse")
    assert newest is not None and newest.state["stage"] == "qat" and newest.state["step"] == 3
    assert result is not None and result.state["step"] == 1001


def test_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.begin(resume=False)
    one.save("sparse", 5, step(5))
    with pytest.raises(UsageError, match="go on with --resume"):
        store(tmp_path).begin(resume=False)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    said: list[str] = []
    one = store(tmp_path, said=said)
    one.begin(resume=False)
    one.save("sparse", 5, step(5))
    newest = one.save("sparse", 10, step(10))
    newest.write_bytes(newest.read_bytes()[:-1])
    found = one.begin(resume=True)
    assert found is not None and found.state["step"] == 5
    assert len(said) == 1
    assert "000000010.safetensors is damaged" in said[0]
    assert "going on from 1-sparse-000000005.safetensors" in said[0]


def test_where_all_are_damaged_the_run_does_not_start_over_silently(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.begin(resume=False)
    one.save("sparse", 5, step(5)).write_bytes(b"")
    with pytest.raises(SparqcError, match="no checkpoint can be read"):
        one.begin(resume=True)


def test_what_a_killed_run_was_writing_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".1-sparse-000000005.safetensors.77.new").write_bytes(b"half")
    store(tmp_path).begin(resume=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"width": 8}, "0.weight is float32[4,4], and float32[8,4] there"),
        ({"seed": 1}, "0.weight has other values there"),
        ({"--passes": "int8"}, "--passes is not set, and 'int8' there"),
        ({"--lr": 0.2}, "--lr is 0.1, and 0.2 there"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    other: dict[str, object], message: str, tmp_path: Path
) -> None:
    one = store(tmp_path, **other)
    one.begin(resume=False)
    one.save("sparse", 5, step(5))
    with pytest.raises(SparqcError, match="is a checkpoint of another run") as caught:
        store(tmp_path).begin(resume=True)
    assert message in str(caught.value)


def test_other_layers_are_counted() -> None:
    one = identity_of(nn.Sequential(*[nn.Linear(2, 2)] * 1), {}).to_json()
    other = identity_of(nn.Sequential(*[nn.Linear(2, 2) for _ in range(4)]), {}).to_json()
    assert differences(one, one) == []
    assert "1.weight is not in the model here, and 5 more like it" in differences(one, other)

"""Two processes that torchrun starts (gloo, on the CPU) do what one does, or refuse together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import torchrun

#: Rounding in float32, over two epochs.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks has found."""
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).parent / "two_ranks.py"
    done = torchrun(str(script), str(folder / "found.json"), cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())  # type: ignore[no-any-return]


def test_arrays_tensors_and_checkpoints_go_from_rank_to_rank(found: list[dict[str, Any]]) -> None:
    for rank in found:
        told = rank["exchange"]
        assert told["shapes"] == [[1, 2], [2, 2]] and told["dtypes"] == ["float32"] * 2
        assert told["sums"] == [2.0, 1.0]
        assert told["tensors"] == [1.5, [True]]
        assert told["checkpoint"] == [{"step": 3}, [1.0, 1.0]] and told["nothing"]


def test_two_ranks_calibrate_as_one(found: list[dict[str, Any]]) -> None:
    for rank in found:
        told = rank["calibrated"]
        assert told["dense"] == 0 and told["scales"] > 1  # counts add up to the bit
        assert told["sparse"] < ROUNDING  # with statistics measured anew
        assert told["masks"] and told["masked"] == 3


def test_batch_norm_sees_the_batches_of_both(found: list[dict[str, Any]]) -> None:
    for rank in found:
        told = rank["normalised"]
        assert max(told[name] for name in ("output", "gradient", "weight", "statistics")) < 1e-5
        assert told["forward_is_back"]


def test_two_ranks_train_as_one(found: list[dict[str, Any]]) -> None:
    for rank in found:
        told = rank["trained"]
        assert told["gap"] < ROUNDING and told["moved"] > 100 * ROUNDING
        assert told["unused"]  # no gradient is no gradient of zero


def test_two_ranks_that_were_killed_end_with_the_same_bits(found: list[dict[str, Any]]) -> None:
    for rank in found:
        assert rank["trained"]["step"] == 4 and rank["trained"]["resumed"] == 0


def test_a_prepared_module_trains_in_distributed_data_parallel(found: list[dict[str, Any]]) -> None:
    one, two = (rank["ddp"] for rank in found)
    assert one == two and one["moved"] > 0 and one["held"] and one["file"] > 10


def test_ranks_that_disagree_all_say_what_differs(found: list[dict[str, Any]]) -> None:
    for index, rank in enumerate(found):
        said = rank["refusals"]
        assert "rank 0 and rank 1 do not start the same run" in said["identity"]
        assert "--lr is 0.1, and 1.1 there" in said["identity"]
        assert "conv1.weight has other values there" in said["identity"]
        assert "ranks 0 and 1 have different weights behind the training" in said["weights"]
        assert "rank 1 has 2 training batches an epoch, rank 0 has 3" in said["count"]
        assert "rank 1 calibrates on 2 batches" in said["calibration"]
        mine = ("has batch 3", "has no batch 3")[index]
        assert f"rank {index} {mine} of epoch 1, unlike other ranks" in said["uneven"]


def test_what_fails_on_one_rank_ends_the_others(found: list[dict[str, Any]]) -> None:
    zero, one = (rank["refusals"]["failing"] for rank in found)
    assert one == "training() of model.py raised ValueError: no such image" or "model.py" in one
    assert zero.startswith("rank 1 failed: ") and "no such image" in zero
    for rank in found:
        assert "the loss is nan in step 1 of the stage sparse" in rank["refusals"]["nan"]

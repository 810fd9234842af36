"""Several processes (gloo, on the CPU) have the gradients of one, whatever the network does.

Three of them: with two, sums do not depend on their order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.processes import torchrun

CASES = ["plain", "checkpointed", "reentrant"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What rank 0 has found."""
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).parent / "several_ranks.py"
    done = torchrun(str(script), str(folder / "found.json"), cwd=folder, count=3)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", [*CASES, *(f"{case} in parts" for case in CASES)])
def test_the_gradients_are_those_of_one_process(found: dict[str, Any], case: str) -> None:
    assert found[case] < 1e-5


@pytest.mark.parametrize("reentrant", [False, True])
def test_ranks_with_unequal_data_train_as_one_process(
    found: dict[str, Any], reentrant: bool
) -> None:
    told = found["trained"][reentrant]
    assert told["gap"] < 1e-5 and told["moved"] > 1e-3


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_run_that_goes_on_ends_with_the_same_bits(found: dict[str, Any], reentrant: bool) -> None:
    told = found["trained"][reentrant]
    assert told["resumed"] == 0 and told["moments"] == 0

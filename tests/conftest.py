"""What every test shares: the threads, the seeds, and a torchvision that imports."""

import os
from collections.abc import Iterator
from pathlib import Path

# Before torch is loaded: with OpenMP's busy waiting a machine on which others compute too is a
# hundred times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(2)

# The same examples on each run, and no deadline: how long one takes depends on who else computes.
settings.register_profile("sparqc", deadline=None, derandomize=True)
settings.load_profile("sparqc")

# A torchvision built for CUDA does not load its C++ operators beside a CPU build of torch, and
# its import stops at their missing names. The models that the tests use call none of them, so
# their schemas are enough. The handle stays alive: torch forgets the names together with it.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    torchvision_operators = torch.library.Library("torchvision", "DEF")
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        torchvision_operators.define(schema)


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The key that signs runs is one of the tests, in a folder of theirs."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in every test, in whichever order they run."""
    torch.manual_seed(0)

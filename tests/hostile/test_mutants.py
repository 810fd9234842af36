"""Networks changed at random: refused by a sentence, or compiled into what they compute."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.mutants import CHANGES, case_of, mutant
from tests.hostile.suite.case import OF_ONNX, Case
from tests.hostile.suite.judge import judged
from tests.hostile.suite.worker import Worker

CORPUS = sorted(Path(__file__).with_name("corpus").glob("onnx/*.onnx"))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker(limit=20)
    yield worker
    worker.close()


@pytest.mark.parametrize("seed", range(60))
def test_a_mutant(seed: int, worker: Worker) -> None:
    for verdict in judged(case_of(seed, [(0, 3), (1, 4), (2, 5)][seed % 3]), worker):
        assert not verdict.wrong, str(verdict)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_found_before(path: Path, worker: Worker) -> None:
    def write(folder: Path) -> Path:
        copy = folder / "model.onnx"
        copy.write_bytes(path.read_bytes())
        return copy

    for verdict in judged(Case(path.stem, write, OF_ONNX), worker):
        assert not verdict.wrong, str(verdict)


def test_a_seed_gives_the_same() -> None:
    assert mutant(5).SerializeToString() == mutant(5).SerializeToString()
    assert len({mutant(seed).SerializeToString() for seed in range(40)}) > 30
    assert len(CHANGES) > 10

"""A part of the hostile suite: every fifth file, and one of the commands that read it.

`python -m tests.hostile.suite` runs all of it.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.hostile.suite.judge import judged
from tests.hostile.suite.kinds.all import all_cases
from tests.hostile.suite.worker import Worker

#: Thousands of nodes: what they take in time is no test's.
LONG = ("depth", "names in dumps")
CASES = list(all_cases())
SOME = [c for c in CASES[::5] if not c.name.startswith(LONG)]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker(limit=20)
    yield worker
    worker.close()


def test_there_are_many() -> None:
    assert len(CASES) == len({case.name for case in CASES}) > 600


@pytest.mark.parametrize("index", range(len(SOME)), ids=lambda i: SOME[i].name)
def test_a_hostile_file(index: int, worker: Worker) -> None:
    case = SOME[index]
    commands = [case.commands[index % len(case.commands)]]
    (verdict,) = judged(replace(case, commands=commands), worker)
    assert not verdict.wrong, str(verdict)

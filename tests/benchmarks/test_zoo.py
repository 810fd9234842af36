"""The scripts over the zoo find it, from wherever they are called."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize("words", [("zoo_table.py",), ("rtx_agreement.py", "--zoo")])
def test_an_unknown_network_is_named(words, tmp_path):
    script, *options = words
    program = [sys.executable, str(BENCHMARKS / script), *options, "resnet19"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "no such network: resnet19"

"""Two processes train as one does."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

import sparqc
from tests.training import two_processes

HERE = Path(__file__).parent


def test_two_processes_give_the_result_of_one(tmp_path):
    paths = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "two_processes.py")]
    runs = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "meet"), str(tmp_path / "state")],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    alone = two_processes.prepared()
    two_processes.train(alone, 0, 1)
    errors = [run.communicate(timeout=200)[1].decode()[-2000:] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    first, second = (load_file(tmp_path / f"state.{rank}") for rank in range(2))
    expected = alone.state_dict()
    assert first.keys() == second.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(first[name], second[name]), name
        if tensor.dtype == torch.bool:
            assert torch.equal(first[name], tensor)
        else:
            torch.testing.assert_close(first[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    assert sparqc.finish(alone).difference.snr_db > 40

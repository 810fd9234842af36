"""Two processes that share a module's parameters (FSDP2) train as one does, or are told how."""

import json
from pathlib import Path

import pytest

from tests.processes import torchrun


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(str(Path(__file__).parent / "sharded.py"), str(folder / "found"), cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found").read_text())


@pytest.mark.parametrize("kind", ["sparse", "quantized", "learned"])
def test_the_result_is_that_of_one_process(found, kind):
    assert found[kind]["gap"] < 1e-5


def test_the_gathered_module_is_baked_and_finished(found):
    assert found["sparse"]["zeros"] >= 0.5
    assert found["quantized"]["snr"] > 40 and found["learned"]["snr"] > 40


@pytest.mark.parametrize("kind", ["sparse", "quantized"])
def test_what_needs_a_whole_module_says_what_to_do(found, kind):
    for name, said in found[kind]["calls"].items():
        assert said.startswith(f"sparqc.{name} takes a module that is whole"), (name, said)
        assert "is cut among the processes (fully_shard)\n  " in said
    for name, advice in (("sparsify", "call it first"), ("bake", "get_model_state_dict")):
        assert kind != "sparse" or advice in found[kind]["calls"][name]

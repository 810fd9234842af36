"""A compile with any number of applications: a valid model on both roads, and that of --limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparqc.ir.text.print import print_graph
from sparqc.job.options import Options
from sparqc.job.run import run_job
from sparqc.tools.model.open_request import open_request
from sparqc.tools.model.request import Request
from sparqc.tools.runs.bisect.steps import Steps, Watch
from tests import small_models
from tests.tools.conftest import SEEDED

#: Pipelines whose passes decide in every way: undone, by rules, and asked for one by one.
WISHES = {
    "all-sparse": Options(passes="all-sparse"),
    "half": Options(passes="int8", float="fp16", io="fp16"),
    "equalize": Options(
        passes="int8,+equalize{always=true}@after=fold,+untie{loss=0}@instead=untie", io="int8"
    ),
}


@pytest.fixture(params=["fx", "onnx"])
def road(request: pytest.FixtureRequest, tmp_path: Path) -> Request:
    """A model in PyTorch, and one in ONNX, with its data."""
    if request.param == "fx":
        (tmp_path / "model.py").write_text(SEEDED.replace("torch.randn(4, ", "torch.ones(4, "))
        return Request(str(tmp_path / "model.py"))
    data = tmp_path / "data.npy"
    np.save(data, np.random.default_rng(0).standard_normal((8, 16, 8, 8)).astype(np.float32))
    return Request(str(small_models.float_onnx(tmp_path / "m.onnx")), calibration=data)


@pytest.mark.parametrize("wish", WISHES)
def test_every_number_of_applications_gives_a_model(road: Request, wish: str) -> None:
    watch, options = Watch(), WISHES[wish]
    request = replace(road, options=options)
    steps = Steps.run(open_request(request, listeners=(watch,)).job, watch)
    assert steps.error is None and steps.last > 10
    texts = [print_graph(steps.compiled(limit).graph) for limit in range(steps.last + 1)]
    assert len(set(texts)) > 4
    # What is undone in a graph that was kept is what --limit never does.
    for limit in range(0, steps.last + 1, 5):
        limited = replace(request, options=replace(options, limit=limit))
        graph = run_job(open_request(limited).job).graph
        assert print_graph(graph) == texts[limit], limit


def test_what_a_pass_asks_for_has_a_number_and_an_event_each(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(SEEDED)
    watch = Watch()
    options = Options(passes="int8,+equalize{always=true}@after=fold", float="fp16", io="fp16")
    request = Request(str(tmp_path / "model.py"), options)
    steps = Steps.run(open_request(request, listeners=(watch,)).job, watch)
    numbers: dict[str, set[int]] = {}
    for event in watch.events:
        if event.kind == "decision" and event.what not in ("say", "keep"):
            numbers.setdefault(event.pass_, set()).add(event.seq)
    assert len(numbers["half"]) > 2 and len(numbers["boundary"]) == 2
    assert numbers["equalize"]
    taken = sorted(set().union(*numbers.values()))
    assert taken[-1] <= steps.last

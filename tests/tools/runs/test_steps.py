"""A compile with any number of applications: a valid model on both roads, and that of --limit."""

from __future__ import annotations

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
from tests.tools.runs.conftest import SEEDED


@pytest.fixture(params=["fx", "onnx"])
def request_(request: pytest.FixtureRequest, tmp_path: Path) -> Request:
    options = Options(passes="all-sparse")
    if request.param == "fx":
        (tmp_path / "model.py").write_text(SEEDED.replace("torch.randn(4, ", "torch.ones(4, "))
        return Request(str(tmp_path / "model.py"), options)
    data = tmp_path / "data.npy"
    np.save(data, np.random.default_rng(0).standard_normal((8, 16, 8, 8)).astype(np.float32))
    return Request(str(small_models.float_onnx(tmp_path / "m.onnx")), options, calibration=data)


def test_every_number_of_applications_gives_a_model(request_: Request) -> None:
    watch = Watch()
    steps = Steps.run(open_request(request_, listeners=(watch,)).job, watch)
    assert steps.error is None and steps.last > 15
    texts = [print_graph(steps.compiled(limit).graph) for limit in range(steps.last + 1)]
    assert len(set(texts)) > 4
    # What is undone in a graph that was kept is what --limit never does.
    for limit in range(0, steps.last + 1, 5):
        limited = Request(
            request_.model, Options(passes="all-sparse", limit=limit), request_.calibration
        )
        graph = run_job(open_request(limited).job).graph
        assert print_graph(graph) == texts[limit], limit

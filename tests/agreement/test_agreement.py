"""TensorRT-RTX runs those layers of each graph in INT8 that are predicted, and no others."""

import pytest

from sparqc.tools.engine.rtx import compile_rtx
from sparqc.tools.explain.prediction import predict
from tests.agreement import unusual  # noqa: F401  (adds its graphs)
from tests.agreement.graphs import GRAPHS, model_of

TARGET = "tensorrt-rtx"


@pytest.mark.parametrize("half", [False, True], ids=["FP32", "FP16"])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_layers_in_int8_are_those_predicted(name: str, half: bool) -> None:
    model = model_of(name, half)
    report, engine = compile_rtx(model), predict(model, TARGET)
    assert report.accepted, report.errors
    assert not report.unknown_nodes
    assert set(report.int8_nodes) == set(engine.int8_nodes)


def test_there_are_forty_at_least() -> None:
    assert len(GRAPHS) >= 40

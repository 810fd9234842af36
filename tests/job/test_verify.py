"""The compiled file against the model it came from."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparqc.errors import SparqcError
from sparqc.ir.text.parse import parse_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.job.verify import check_model, difference


def quantizer(**attributes):
    """A model of one per-channel QuantizeLinear."""
    constants = [
        numpy_helper.from_array(np.array([0.1, 0.2], np.float32), "s"),
        numpy_helper.from_array(np.zeros(2, np.int8), "z"),
    ]
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], name="q", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])
    y = helper.make_tensor_value_info("y", TensorProto.INT8, [2, 2])
    graph = helper.make_graph([node], "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def test_a_sound_model_passes():
    check_model(quantizer(axis=0))


def test_per_channel_scales_need_an_axis():
    with pytest.raises(SparqcError, match="q: the per-channel QuantizeLinear has no axis"):
        check_model(quantizer())


def test_what_the_checker_objects_to_is_said():
    model = quantizer(axis=0)
    model.graph.node[0].input[0] = "nothing"
    with pytest.raises(SparqcError, match=r"onnx\.checker refuses the compiled graph"):
        check_model(model)


def test_equal_outputs_have_no_noise():
    gap = difference([np.ones(3)], [np.ones(3)])
    assert (gap.snr_db, gap.max_abs) == (float("inf"), 0.0)
    assert gap.to_json()["snr_db"] is None


def test_the_signal_to_noise_ratio_is_in_decibel():
    gap = difference([np.full(4, 10.0)], [np.full(4, 9.0)])
    assert gap.snr_db == pytest.approx(20.0)
    assert (gap.max_abs, gap.max_relative) == (1.0, pytest.approx(0.1))


@pytest.mark.parametrize(
    ("actual", "why"),
    [
        ([], "gives 0 outputs"),
        ([np.ones(4)], "has the shape"),
        ([np.array([1.0, 1.0, np.nan])], "is not finite"),
    ],
)
def test_outputs_that_cannot_be_compared_are_an_error(actual, why):
    with pytest.raises(SparqcError, match=why):
        difference([np.ones(3)], actual)


OUTPUTS = """
graph g on onnx (x: f32[batch, 4]) -> (y):
    y = nn.relu(x) : f32[{shape}]
    return y
"""


@pytest.mark.parametrize(
    ("shape", "differs"),
    [
        ("u0, 4", True),
        ("batch, 4", False),
        ("5, u0", False),
    ],
)
def test_only_sizes_that_numbers_decide_on_may_differ(shape, differs):
    graph = parse_graph(OUTPUTS.format(shape=shape), default_table())
    found = [np.zeros((5, 4), np.float32)], [np.zeros((6, 4), np.float32)]
    if differs:
        assert difference(*found, graph).other_sizes == ("y",)
    else:
        with pytest.raises(SparqcError, match=r"output 0 has the shape \(6, 4\)"):
            difference(*found, graph)

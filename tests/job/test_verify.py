"""The compiled file against the model it came from."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import sparqc
from sparqc.errors import SparqcError
from sparqc.ir.onnx.adapter import write_onnx
from sparqc.ir.text.parse import parse_graph
from sparqc.ir.vocabulary.table import default_table
from sparqc.job.verify import check_meaning, check_model, difference


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


@pytest.mark.parametrize(
    ("attributes", "words"),
    [({"strides": [0, 0]}, "stride"), ({"pads": [1]}, "pads"), ({"group": 3}, "channels")],
)
@pytest.mark.parametrize("check", [check_meaning, sparqc.compile])
def test_a_graph_that_cannot_be_computed_is_refused_in_memory(check, attributes, words):
    conv = helper.make_node("Conv", ["x", "w"], ["y"], "conv", **attributes)
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", ["n", 4, 8, 8]), ("y", ["n", 8, None, None]))
    ]
    weight = numpy_helper.from_array(np.ones((8, 4, 3, 3), np.float32), "w")
    graph = helper.make_graph([conv], "g", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    with pytest.raises(SparqcError) as caught:
        check(model)
    assert words in caught.value.message.lower()


def test_a_finished_graph_is_held_to_its_meaning(monkeypatch):
    def broken(*args, **options):
        model = write_onnx(*args, **options)
        node = next(n for n in model.graph.node if n.op_type == "Conv")
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("pads", [1]))
        return model

    monkeypatch.setattr("sparqc.job.write.write_onnx", broken)
    net, x = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3)).eval(), torch.randn(2, 4, 6, 6)
    with pytest.raises(SparqcError, match=r"the compiled graph cannot be computed.*pads"):
        sparqc.compile(net, (x,), passes="float")


def test_a_size_of_minus_one_in_memory_is_open_and_the_model_stays_as_it_is():
    model = sparqc.compile(torch.nn.Linear(4, 4), (torch.randn(2, 4),), passes="float").model
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    before = model.SerializeToString()
    done = sparqc.compile(model, passes="float")
    assert isinstance(done.graph.inputs[0].shape[0], str)
    assert model.SerializeToString() == before


def test_data_in_another_file_are_asked_for(tmp_path):
    net = torch.nn.Linear(64, 64)
    model = sparqc.compile(net, (torch.randn(2, 64),), passes="float").model
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data")
    bare = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    with pytest.raises(SparqcError, match="leaves data in another file"):
        sparqc.compile(bare, passes="float")
    assert sparqc.compile(tmp_path / "m.onnx", passes="float").model.graph.node

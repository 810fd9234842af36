"""Graphs with Q/DQ of other tools: what is taken over, what is converted, what is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import sparqc
from sparqc.errors import SparqcError
from sparqc.ir.onnx.adapter import read_onnx
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.adopt.adopted import Adoption
from sparqc.passes.adopt.foreign import Grid
from sparqc.passes.calibrate.calibrate import CalibratedRanges
from sparqc.tools.model.program_file import read_program

FOLDER = Path(__file__).parents[2] / "adopted"
WIDTH = 16


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def batches(count=2):
    return [[random(4, WIDTH, 8, 8, seed=seed)] for seed in range(count)]


def model(nodes, constants, outputs=("y",), x=TensorProto.FLOAT, y=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", x, ["batch", WIDTH, 8, 8])],
        [helper.make_tensor_value_info(name, y, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return onnx.shape_inference.infer_shapes(made)


def pair(x, y, scale, zero="zero", **axis):
    """A Q and a DQ from x to y."""
    return [
        helper.make_node("QuantizeLinear", [x, scale, zero], [f"{y}_codes"], **axis),
        helper.make_node("DequantizeLinear", [f"{y}_codes", scale, zero], [y], **axis),
    ]


def conv(x, w, y):
    return helper.make_node("Conv", [x, w], [y], pads=[1, 1, 1, 1])


def weights():
    return random(WIDTH, WIDTH, 3, 3, seed=9) / 10


def one_conv(scale=0.05, zero=0, dtype=np.int8):
    """x -> Q/DQ -> Conv with an INT8 weight behind a DQ."""
    w = weights()
    steps = np.abs(w).max((1, 2, 3)) / 127
    codes = np.rint(w / steps.reshape(-1, 1, 1, 1)).astype(np.int8)
    constants = {
        "s": np.float32(scale),
        "zero": dtype(zero),
        "w_quantized": codes,
        "sw": steps.astype(np.float32),
        "zw": np.zeros(WIDTH, np.int8),
    }
    weight = helper.make_node("DequantizeLinear", ["w_quantized", "sw", "zw"], ["w_dq"], axis=0)
    return model([*pair("x", "xq", "s"), weight, conv("xq", "w_dq", "y")], constants)


def compiled(given, passes="int8", calibration=None):
    return sparqc.compile(given, passes=passes, calibration=calibration, float="fp32")


def adopted(done):
    return done.context.facts[Adoption]


def ranges(done):
    return {r.value: (r.method, pytest.approx(r.amax, rel=1e-6)) for r in ranges_of(done)}


def ranges_of(done):
    return done.context.facts[CalibratedRanges].ranges


def kinds(done):
    return {c.value: c.kind for c in adopted(done).changes}


def stored(done):
    """The INT8 weights of the file and their scales, by the operator that reads them."""
    constants = {i.name: numpy_helper.to_array(i) for i in done.model.graph.initializer}
    made = {n.output[0]: n for n in done.model.graph.node}
    for node in done.model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            dq = made.get(node.input[1])
            if dq is not None:
                yield node.output[0], constants[dq.input[0]], constants[dq.input[1]]


# -- numbers -------------------------------------------------------------------------------------


def test_one_convolution_keeps_scales_and_codes():
    given = one_conv()
    done = compiled(given)
    assert ranges(done) == {"x": ("adopted", 0.05 * 127), "w": ("adopted", np.abs(weights()).max())}
    ((_, codes, steps),) = stored(done)
    before = {i.name: numpy_helper.to_array(i) for i in given.graph.initializer}
    assert np.array_equal(codes, before["w_quantized"])
    assert np.array_equal(steps.ravel(), before["sw"])


def test_with_the_same_placement_the_answers_are_the_same():
    given = one_conv()
    import onnxruntime

    x = {"x": batches()[0][0]}
    expected, actual = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, x)[0]
        for m in (given, compiled(given).model)
    )
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_what_sparqc_wrote_is_adopted_as_it_stands():
    first = compiled(one_conv())
    again = compiled(first.model)
    assert [(w.tolist(), s.tolist()) for _, w, s in stored(first)] == [
        (w.tolist(), s.tolist()) for _, w, s in stored(again)
    ]
    assert {c.kind for c in adopted(again).changes} == {"kept"}


@pytest.mark.parametrize(
    ("scale", "zero", "dtype", "amax", "note"),
    [
        (0.05, 0, np.int8, 127 * 0.05, ""),
        (0.05, 0, np.uint8, 255 * 0.05, "unsigned"),
        (0.05, 128, np.uint8, 128 * 0.05, "asymmetric"),
        (0.05, -128, np.int8, 255 * 0.05, "asymmetric"),
        (0.05, 3, np.int8, 131 * 0.05, "asymmetric"),
    ],
)
def test_ranges_become_symmetric(scale, zero, dtype, amax, note):
    done = compiled(one_conv(scale, zero, dtype))
    assert ranges(done)["x"] == ("adopted", amax)
    assert bool(adopted(done).notes) == bool(note)
    assert all(line.startswith(note) for line in adopted(done).notes)


@given(
    low=st.integers(-128, 0),
    width=st.integers(127, 255),
    zero=st.integers(-128, 255),
    scale=st.floats(1e-4, 10),
)
def test_no_code_stands_for_more_than_the_range(low, width, zero, scale):
    zero = min(max(zero, low), low + width)
    grid = Grid(np.asarray(scale), np.asarray(zero), None, low, low + width)
    largest = max(abs(low - zero), abs(low + width - zero)) * scale
    step = scale * 1.0001  # -128 counts as -127
    assert largest - step <= float(grid.amax) <= largest * (1 + 1e-12)


def test_a_mover_on_codes_is_one_on_floats():
    """Q, MaxPool of codes, DQ: the codes pass through."""
    given = one_conv()
    pool = helper.make_node(
        "MaxPool", ["xq_codes"], ["pooled"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
    )
    given.graph.node.insert(1, pool)
    given.graph.node[2].input[0] = "pooled"
    done = compiled(onnx.shape_inference.infer_shapes(given))
    assert kinds(done)["x"] == "moved"
    assert ranges(done)["pooled"] == ("adopted", 0.05 * 127)


@pytest.mark.parametrize(
    ("kind", "operands", "attributes"),
    [
        ("Gather", ["rows"], {"axis": 2}), ("Tile", ["times"], {}),
        ("ReduceMax", [], {"axes": [2]}), ("Max", ["xq_codes"], {}), ("Split", [], {"axis": 2}),
    ],
)  # fmt: skip
def test_whatever_hands_codes_on_may_stand_between_them(kind, operands, attributes):
    given = one_conv()
    for name, array in (("rows", np.array([0, 2, 4])), ("times", np.array([1, 1, 2, 1]))):
        given.graph.initializer.append(numpy_helper.from_array(array, name))
    moved = helper.make_node(kind, ["xq_codes", *operands], ["moved"], **attributes)
    given.graph.node.insert(1, moved)
    given.graph.node[2].input[0] = "moved"
    given.graph.output[0].type.tensor_type.ClearField("shape")
    del given.graph.value_info[:]
    done = compiled(onnx.shape_inference.infer_shapes(given), passes="adopt")
    assert [n.op_type for n in done.model.graph.node] == [kind, "Conv"]


def test_the_largest_range_of_a_scale_group_counts():
    """Both inputs of a Concat have one scale: the larger of the two."""
    constants = {"s": np.float32(0.05), "t": np.float32(0.01), "zero": np.int8(0)}
    constants |= {"w": weights(), "v": random(WIDTH, 2 * WIDTH, 3, 3)}
    nodes = [
        *pair("x", "xq", "s"),
        conv("xq", "w", "a"),
        helper.make_node("Relu", ["a"], ["b"]),
        *pair("b", "bq", "t"),
        helper.make_node("Concat", ["xq", "bq"], ["c"], axis=1),
        conv("c", "v", "y"),
    ]
    done = compiled(model(nodes, constants), calibration=batches)
    found = [r for r in ranges_of(done) if not r.channels]
    assert len({r.scale for r in found}) == 1
    assert found[0].amax >= 0.05 * 127 * (1 - 1e-6)


@pytest.mark.parametrize("zero", [128, 131, 100])
def test_a_weight_with_a_zero_point_keeps_the_steps_that_127_codes_reach_with(zero):
    given = one_conv()
    codes = next(i for i in given.graph.initializer if i.name == "w_quantized")
    point = next(i for i in given.graph.initializer if i.name == "zw")
    before = numpy_helper.to_array(codes).astype(np.int64)
    shifted = np.clip(before + zero, 0, 255).astype(np.uint8)
    shifted[3, 0, 0, 0] = 255  # 155 codes above a zero point of 100
    steps = numpy_helper.to_array(next(i for i in given.graph.initializer if i.name == "sw"))
    expected = shifted.astype(np.int64) - zero
    wider = np.maximum(np.abs(expected).max((1, 2, 3)) / 127, 1)
    assert (wider > 1).any() == (zero == 100)
    codes.CopyFrom(numpy_helper.from_array(shifted, "w_quantized"))
    point.CopyFrom(numpy_helper.from_array(np.full(WIDTH, zero, np.uint8), "zw"))
    done = compiled(given)
    ((_, found, scales),) = stored(done)
    np.testing.assert_allclose(scales.ravel(), steps * wider, rtol=1e-6)
    assert np.array_equal(found, np.rint(expected / wider.reshape(-1, 1, 1, 1)))
    assert any(note.startswith("asymmetric") for note in adopted(done).notes)


def test_the_range_in_front_of_a_factor_is_not_that_behind_it():
    """Two convolutions are added, one of them times 0.01: it keeps its name and takes that in."""
    constants = {f"w{i}": random(WIDTH, WIDTH, 3, 3, seed=i) / 10 for i in range(4)}
    constants |= {"f": np.float32(0.01), "zero": np.int8(0)}
    constants |= {"s": np.float32(0.05), "s1": np.float32(0.03), "s2": np.float32(0.0003)}
    nodes = [
        *pair("x", "xq", "s"), conv("xq", "w0", "a"), *pair("a", "aq", "s"), conv("aq", "w1", "b"),
        conv("xq", "w2", "c"), *pair("c", "cq", "s1"),
        helper.make_node("Mul", ["cq", "f"], ["d"]), *pair("d", "dq", "s2"),
        helper.make_node("Add", ["b", "dq"], ["g"]), *pair("g", "gq", "s"), conv("gq", "w3", "y"),
    ]  # fmt: skip
    done = compiled(model(nodes, constants))
    assert not any(node.op_type == "Mul" for node in done.model.graph.node)
    assert ranges(done)["c"] == ("adopted", 0.0003 * 127)


# -- whole networks of other tools ---------------------------------------------------------------


class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": x} for (x,) in batches()]

    def get_next(self):
        return self.left.pop() if self.left else None


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    """A residual block, with a convolution on the skip."""
    constants = {f"w{i}": random(WIDTH, WIDTH, 3, 3, seed=i) / 10 for i in range(4)}
    nodes = [
        conv("x", "w0", "a"), helper.make_node("Relu", ["a"], ["b"]),
        conv("b", "w1", "c"), helper.make_node("Relu", ["c"], ["d"]),
        conv("d", "w2", "e"), conv("b", "w3", "f"),
        helper.make_node("Add", ["e", "f"], ["g"]), helper.make_node("Relu", ["g"], ["y"]),
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("adopt") / "float.onnx"
    onnx.save(model(nodes, constants), path)
    return path


def by_onnxruntime(path, form=QuantFormat.QDQ, symmetric=True):
    made = path.with_name(f"{form.name}.onnx")
    kind = QuantType.QInt8 if symmetric else QuantType.QUInt8
    extra = {"ActivationSymmetric": symmetric, "WeightSymmetric": True}
    quantize_static(
        path, made, Reader(), quant_format=form, per_channel=True, activation_type=kind,
        weight_type=QuantType.QInt8, extra_options=extra,
    )  # fmt: skip
    return onnx.load(made)


@pytest.mark.parametrize("symmetric", [True, False])
def test_onnxruntime_has_quantizers_that_go(float_model, symmetric):
    done = compiled(by_onnxruntime(float_model, symmetric=symmetric))
    changes = {c.value: c for c in adopted(done).changes}
    assert changes["b"].kind == changes["d"].kind == "kept"
    gone = {name for name, c in changes.items() if c.kind == "removed"}
    assert "e" in gone or "f" in gone  # the bare branch of the Add
    assert "its own branch stays bare" in changes[min(gone & {"e", "f"})].reason
    assert any(c.reason.startswith("an output of the model") for c in changes.values())
    assert {r.method for r in ranges_of(done)} == {"adopted"}


def test_integer_operators_are_refused_with_advice(float_model):
    with pytest.raises(SparqcError, match=r"QLinearConv.*float operators are gone") as refusal:
        compiled(by_onnxruntime(float_model, QuantFormat.QOperator))
    assert "QuantFormat.QDQ" in (refusal.value.hint or "")


def snr(expected, actual):
    return 10 * np.log10(np.square(expected).sum() / np.square(expected - actual).sum())


def test_the_onnx_file_of_model_optimizer():
    arrays = np.load(FOLDER / "model_optimizer.npz")
    done = compiled(
        onnx.load(FOLDER / "model_optimizer.onnx"), calibration=lambda: [[arrays["input"]]]
    )
    import onnxruntime

    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    assert snr(arrays["output"], session.run(None, {"x": arrays["input"]})[0]) > 35
    added = {c.value for c in adopted(done).changes if c.kind == "added"}
    assert added == {r.value for r in ranges_of(done) if r.method != "adopted"}
    assert len(added) == 1  # the convolution on the skip


def test_the_exported_program_of_pt2e():
    arrays = np.load(FOLDER / "pt2e.npz")
    x = torch.from_numpy(arrays["input"])
    program = read_program(FOLDER / "pt2e.pt2").module(check_guards=False)
    done = sparqc.compile(program, (x,), passes="int8")  # no data: every range is known
    import onnxruntime

    session = onnxruntime.InferenceSession(done.model.SerializeToString())
    actual = session.run(None, {session.get_inputs()[0].name: arrays["input"]})[0]
    assert snr(arrays["output"], actual) > 25  # ranges of one sign lost half of their codes
    assert {r.method for r in ranges_of(done)} == {"adopted"}
    assert any(note.startswith("asymmetric") for note in adopted(done).notes)
    assert kinds(done)["layer1.conv1.weight"] == "kept"


# -- the pass ------------------------------------------------------------------------------------


def test_a_model_without_quantizers_stays_as_it_is(float_model):
    done = compiled(onnx.load(float_model), "adopt, export, check")
    assert Adoption not in done.context.facts
    assert [n.op_type for n in done.model.graph.node].count("Conv") == 4


def test_the_float_preset_takes_quantizers_out():
    done = compiled(one_conv(), "float")
    assert [n.op_type for n in done.model.graph.node] == ["Conv"]


def test_layers_that_were_float_stay_float():
    constants = {"s": np.float32(0.05), "zero": np.int8(0), "w": weights(), "v": weights()}
    nodes = [*pair("x", "xq", "s"), conv("xq", "w", "a"), conv("a", "v", "y")]
    given = model(nodes, constants)
    done = compiled(given, calibration=batches)
    assert list(adopted(done).left_in_float) == ["y"]
    assert [name for name, *_ in stored(done)] == ["a"]
    line = 'int8, +adopt{float_layers="quantize"}@instead=adopt'
    assert [name for name, *_ in stored(compiled(given, line, batches))] == ["a", "y"]


def test_without_data_the_missing_range_is_named():
    constants = {"s": np.float32(0.05), "zero": np.int8(0), "w": weights(), "v": weights()}
    nodes = [*pair("x", "xq", "s"), conv("xq", "w", "a"), conv("a", "v", "y")]
    line = 'int8, +adopt{float_layers="quantize"}@instead=adopt'
    with pytest.raises(SparqcError, match="gave no range to 'a'"):
        compiled(model(nodes, constants), line)


def test_sixteen_bits_are_measured_anew():
    constants = {"s": np.float32(1e-4), "zero": np.int16(0), "w": weights()}
    given = model([*pair("x", "xq", "s"), conv("xq", "w", "y")], constants)
    given.opset_import[0].version = 21
    done = compiled(given, calibration=batches)
    assert ranges(done)["x"][0] == "mse"
    assert "it has 65536 codes, not the 256 of INT8" in adopted(done).notes[0]


@pytest.mark.parametrize("scale", [np.inf, -0.1])
def test_a_scale_that_is_none(scale):
    with pytest.raises(SparqcError, match="is no positive finite number"):
        compiled(one_conv(scale))


def test_codes_that_something_computes_with():
    given = one_conv()
    given.graph.node.insert(1, helper.make_node("Abs", ["xq_codes"], ["positive"]))
    given.graph.node[2].input[0] = "positive"
    with pytest.raises(SparqcError, match=r"positive .* reads the codes of a quantizer"):
        compiled(onnx.shape_inference.infer_shapes(given))


def test_codes_of_one_scale_taken_for_another():
    given = one_conv()
    given.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "t"))
    given.graph.node[1].input[1] = "t"
    with pytest.raises(SparqcError, match="takes codes of one scale for those of another"):
        compiled(given)


def test_an_input_of_codes():
    constants = {"s": np.float32(0.05), "zero": np.int8(0), "w": weights()}
    nodes = [helper.make_node("DequantizeLinear", ["x", "s", "zero"], ["xq"]), conv("xq", "w", "y")]
    with pytest.raises(SparqcError, match="the input x of the model is codes"):
        compiled(model(nodes, constants, x=TensorProto.INT8))


def test_an_output_of_codes():
    constants = {"s": np.float32(0.05), "zero": np.int8(0), "w": weights()}
    nodes = [*pair("x", "xq", "s"), conv("xq", "w", "a")]
    nodes += [helper.make_node("QuantizeLinear", ["a", "s", "zero"], ["y"])]
    with pytest.raises(SparqcError, match="the output y of the model is codes"):
        compiled(model(nodes, constants, y=TensorProto.INT8))


def test_an_input_that_is_nothing_but_quantized_stays_an_output():
    constants = {"s": np.float32(0.05), "zero": np.int8(0)}
    given = model(pair("x", "y", "s"), constants)
    graph = read_onnx(given, default_table())
    done = compiled(given, "float")
    assert graph.output_names == ["y"] == [o.name for o in done.model.graph.output]

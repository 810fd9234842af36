"""From one opset to another."""

import numpy as np
import onnx
import pytest
from onnx import helper

from sparqc.errors import SparqcError
from sparqc.ir.levels.execute import open_runner
from sparqc.ir.onnx.adapter import convert_opset, opset_of, read_onnx
from sparqc.ir.vocabulary.table import default_table
from tests.ir.onnx_models import model

TABLE = default_table()
NODE = helper.make_node


def pooled(opset):
    """y = mean(x @ w, axis 1), with a weight of 4 KiB."""
    return model(
        [NODE("MatMul", ["x", "w"], ["h"]), NODE("ReduceMean", ["h", "axes"], ["y"], keepdims=0)],
        {"w": np.arange(1024, dtype=np.float32).reshape(32, 32), "axes": np.int64([1])},
        inputs={"x": ["batch", 32]},
        outputs={"y": ["batch"]},
        opset=opset,
    )


def run(made, x):
    return open_runner(read_onnx(made, TABLE), TABLE).run([x])[0][0]


@pytest.mark.parametrize("opset", [13, 17])
def test_a_model_goes_down_and_keeps_its_weights(opset):
    made = pooled(20)
    converted = convert_opset(made, opset)
    onnx.checker.check_model(converted, full_check=True)
    assert opset_of(converted) == opset
    assert [i.name for i in converted.graph.input] == ["x"]
    x = np.ones((2, 32), np.float32)
    assert np.array_equal(run(converted, x), run(made, x))


def test_a_model_goes_up():
    made = model([NODE("Squeeze", ["x"], ["y"], axes=[1])], inputs={"x": ["batch", 1]},
                 outputs={"y": ["batch"]}, opset=11)  # fmt: skip
    assert opset_of(convert_opset(made, 20)) == 20


def test_the_same_opset_is_the_same_model():
    made = pooled(20)
    assert convert_opset(made, 20) is made


def test_what_has_no_counterpart_is_refused():
    made = model([NODE("Gelu", ["x"], ["y"])], opset=20)
    with pytest.raises(SparqcError, match=r"cannot be converted from opset 20 to 17: .*Gelu"):
        convert_opset(made, 17)


def test_large_constant_nodes_are_kept():
    weight = onnx.numpy_helper.from_array(np.arange(1024, dtype=np.float32).reshape(32, 32))
    made = model(
        [NODE("Constant", [], ["w"], value=weight), NODE("MatMul", ["x", "w"], ["y"])],
        inputs={"x": ["batch", 32]},
        outputs={"y": ["batch", 32]},
        opset=20,
    )
    x = np.ones((2, 32), np.float32)
    assert np.array_equal(run(convert_opset(made, 17), x), run(made, x))

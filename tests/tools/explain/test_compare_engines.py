"""How a real engine differs from the predicted one, on listings written by hand."""

from dataclasses import replace

import pytest

from sparqc.errors import SparqcError
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.explain.compare_engines import compare
from sparqc.tools.explain.comparison import SHOWN, comparison_lines
from sparqc.tools.explain.prediction import predict
from tests.engine_models import residual_block, two_four

MODEL = residual_block(True)


def tensor(dtype):
    return EngineTensor("t", (8, 64, 16, 16), dtype)


def kernel(name, *nodes, data="int8", gives="int8", layer_type="CaskConvolution"):
    return Kernel(
        name, layer_type, (tensor(data),), (tensor(gives),),
        (EngineTensor("w", (64, 64, 3, 3), data),), nodes,
    )  # fmt: skip


QUANTIZE = replace(kernel("q", "quantizelinear_1", data="float32"), layer_type="Scale")
FIRST = kernel("first", "conv1", "relu_4", "quantizelinear_6")
SECOND = kernel("second", "conv2", "add_11", "relu_12")
THIRD = kernel("third", "conv3", gives="float32")


def found(*kernels):
    return compare(predict(MODEL), kernels, MODEL)


def test_an_engine_as_predicted_has_no_differences():
    result = found(QUANTIZE, FIRST, SECOND, THIRD)
    assert result.differences == ()
    assert (result.kernels, result.int8) == ((4, 4), (3, 3))
    assert "  the engine is as predicted" in list(comparison_lines(result))


def test_an_add_that_runs_by_itself_is_a_split():
    alone = kernel("add", "add_11", "relu_12", layer_type="PointWiseV2")
    (difference,) = found(QUANTIZE, FIRST, kernel("conv", "conv2"), alone, THIRD).differences
    assert (difference.kind, difference.engine) == ("split", ("conv", "add"))
    assert difference.message == "relu_12 [conv, add, relu] runs as 2 kernels: conv, add"


def sparse_choices(batch, *ran, sparsity=None, model=MODEL):
    kernels = (FIRST, SECOND, THIRD)
    built = [QUANTIZE, *(replace(k, sparse=s) for k, s in zip(kernels, ran, strict=True))]
    return compare(predict(model, batch=batch), built, model, sparsity=sparsity)


def test_layers_that_ran_sparse_or_dense_otherwise_than_expected_are_told():
    model = two_four(MODEL)
    result = sparse_choices(512, True, False, True, model=model)
    assert result.sparse == (2, 2)  # the last one writes floats
    second, third = result.differences
    assert second.message == "conv2: 2:4 is expected to pay, runs dense"
    assert third.message.startswith("conv3: expected dense (") and third.kind == "sparse"
    assert "  sparse kernels                    2  2" in list(comparison_lines(result))
    assert result.to_json()["sparse"] == {"predicted": 2, "engine": 2}
    assert sparse_choices(512, True, True, False, model=model).differences == ()


def test_where_no_kernel_ran_sparse_nobody_knows_whether_one_was_allowed_to():
    model = two_four(MODEL)
    result = sparse_choices(512, False, False, False, model=model)
    assert (result.sparse, result.differences) == (None, ())
    assert "sparse" not in result.to_json()
    result = sparse_choices(512, False, False, False, model=model, sparsity=True)
    assert result.sparse == (2, 0) and len(result.of_kind("sparse")) == 2
    assert sparse_choices(512, None, None, None, model=model, sparsity=True).sparse is None


def test_a_sparse_kernel_of_a_dense_weight_is_a_difference():
    (first,) = sparse_choices(512, True, False, False).of_kind("sparse")
    assert first.message == "conv1: expected dense (it is dense), runs sparse"


def test_a_kernel_that_takes_in_two_is_merged():
    both = kernel("both", *FIRST.nodes, *SECOND.nodes)
    (difference,) = found(QUANTIZE, both, THIRD).differences
    assert (difference.kind, difference.predicted) == ("merged", ("relu_4", "relu_12"))


def test_another_precision_comes_first():
    result = found(
        QUANTIZE, FIRST, SECOND, kernel("third", "conv3", data="float16", gives="float16")
    )
    (difference,) = result.differences
    assert difference.kind == "precision"
    assert "conv3: predicted in INT8, runs in float (its data arrive as float16)" in (
        difference.message
    )


def test_a_listing_of_another_file_is_refused():
    with pytest.raises(SparqcError, match="names no node of this model"):
        found(kernel("other", "elsewhere"))


def test_many_differences_are_counted():
    (split,) = found(QUANTIZE, FIRST, kernel("a", "conv2"), kernel("b", "add_11"), THIRD).of_kind(
        "split"
    )
    result = replace(found(QUANTIZE, FIRST, SECOND, THIRD), differences=(split,) * (SHOWN + 3))
    lines = list(comparison_lines(result))
    assert lines.count(f"  {split.message}") == SHOWN
    assert lines[-1] == "  ... and 3 more: --json lists all of them"

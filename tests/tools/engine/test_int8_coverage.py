"""Which kernel speaks for a weighted node, and what it says."""

from sparqc.tools.engine.int8_coverage import operators_as_built, weakest
from sparqc.tools.engine.kernel import EngineTensor, Kernel
from sparqc.tools.engine.onnx_weights import WeightedNode

CONV = WeightedNode("conv", "Conv", "w")


def kernel(layer_type, data, weight, name="k", nodes=("conv",)):
    return Kernel(
        name,
        layer_type,
        (EngineTensor("x", (1, 8), data),),
        (EngineTensor("y", (1, 8), "float32"),),
        (EngineTensor("w", (8, 8), weight), EngineTensor("s", (8,), "float32")),
        nodes,
    )


def precision(*kernels):
    return operators_as_built([CONV], kernels)[0].precision


def test_int8_data_and_an_int8_weight_make_int8():
    assert precision(kernel("correlation", "int8", "int8")) == "int8"
    assert precision(kernel("correlation", "int8", "float32")) == "float"
    assert precision(kernel("correlation", "float16", "int8")) == "float"


def test_the_layer_types_of_classic_tensorrt_are_known():
    for layer_type in ("CaskConvolution", "CaskDeconvolutionV2", "CaskGemmMatrixMultiply"):
        assert precision(kernel(layer_type, "int8", "int8")) == "int8"


def test_the_kernel_that_multiplies_speaks_and_not_those_around_it():
    quantize = kernel("kgen", "float32", "float32", name="__myl_MulRounCast")
    assert precision(quantize, kernel("gemm", "int8", "int8")) == "int8"
    assert precision(quantize, kernel("gemm", "float32", "float32")) == "float"


def test_one_part_in_float_makes_a_split_operator_float():
    assert precision(kernel("gemm", "int8", "int8"), kernel("gemm", "float32", "int8")) == "float"


def test_a_fused_kernel_that_casts_before_it_multiplies_is_float():
    fused = "__myl_{}_myl0_2"
    assert precision(kernel("runtime_fusion", "int8", "int8", fused.format("FcAdd"))) == "int8"
    name = fused.format("CastMulCastCastMulFc")
    assert precision(kernel("runtime_fusion", "int8", "int8", name)) == "float"


def test_a_node_that_no_kernel_names_is_unknown():
    (operator,) = operators_as_built([CONV], [kernel("gemm", "int8", "int8", nodes=("other",))])
    assert (operator.precision, operator.reason) == ("unknown", "no kernel names it")


def test_of_two_engines_the_float_one_counts():
    int8 = operators_as_built([CONV], [kernel("gemm", "int8", "int8")])
    floats = operators_as_built([CONV], [kernel("gemm", "float32", "float32")])
    assert [o.precision for o in weakest(int8, floats)] == ["float"]
    assert [o.precision for o in weakest(floats, int8)] == ["float"]
    assert [o.precision for o in weakest(int8, int8)] == ["int8"]

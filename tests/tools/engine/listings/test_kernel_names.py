"""The layers in the names that TensorRT gives its kernels."""

import pytest

from sparqc.tools.engine.listings.kernel_names import is_added, names_in


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("Conv_3 + Relu_4", ("Conv_3", "Relu_4")),
        ("w + QuantizeLinear_7 + Conv_9 + PWN(Clip_13)",
         ("w", "QuantizeLinear_7", "Conv_9", "Clip_13")),
        ("PWN(PWN(Sigmoid_1), Mul_2)", ("Sigmoid_1", "Mul_2")),
        ("PWN(PWN(PWN(Add_1) + PWN(Clip_2)), PWN(Mul_3)) + Add_4",
         ("Add_1", "Clip_2", "Mul_3", "Add_4")),
        ("/a/Conv || /b/Conv", ("/a/Conv", "/b/Conv")),
        ("a (1) + b", ("a (1)", "b")),
        ("Conv_3 + Conv_3", ("Conv_3",)),
        ("Conv_3 + PWN(Clip_1", ("Conv_3", "PWN(Clip_1")),
        ("{ForeignNode[MatMul_1...Add_9]}", ("{ForeignNode[MatMul_1...Add_9]}",)),
        ("Reformatting CopyNode for Input Tensor 0 to Conv_3 + Relu_4", ()),
        ("copied_squeeze_after_(Unnamed Layer* 307) [ElementWise]", ()),
        ("35 copy", ()),
        ("", ()),
    ],
)  # fmt: skip
def test_the_layers_of_a_name(name: str, layers: tuple[str, ...]) -> None:
    assert names_in(name) == layers


def test_layers_that_the_compiler_added() -> None:
    name = (
        "fc.weight + QuantizeLinear_255 + Gemm_257 + fc.bias + (Unnamed Layer* 306) [Shuffle] + "
        "unsqueeze_node_after_fc.bias + (Unnamed Layer* 306) [Shuffle]_(Unnamed Layer* 306) "
        "[Shuffle]_output + (Unnamed Layer* 307) [ElementWise]"
    )
    kept = [layer for layer in names_in(name) if not is_added(layer)]
    assert kept == ["fc.weight", "QuantizeLinear_255", "Gemm_257", "fc.bias"]

"""Graphs as pytorch-quantization exports them, whose engines are public: TensorRT 8.4 ran their
convolutions with unfolded BatchNorm in INT8, and each float skip let its convolution write FP32."""

from collections import Counter

import numpy as np
import pytest

from sparqc.tools.check.checked import Asked, Checked, check_proto
from tests.engine_models import Net


class Qat(Net):
    """Convolutions with a quantizer in front, and BatchNorm and ReLU behind."""

    def block(self, value: str, name: str, channels: tuple[int, int] = (64, 64)) -> str:
        count = channels[0]
        one = self.constant(f"{name}_one", np.ones(count, np.float32))
        zero = self.constant(f"{name}_none", np.zeros(count, np.float32))
        conv = self.conv(value, name, channels)
        return self.op("BatchNormalization", conv, one, zero, zero, one, name=f"{name}_bn")


def residual_network(quantize_skips: bool, blocks: int = 3, batch: int = 8):
    net = Qat((batch, 64, 56, 56))
    value = net.op("Relu", net.block("x", "stem"))
    value = net.op("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for i in range(blocks):
        inner = net.op("Relu", net.block(value, f"a{i}"))
        skip = net.qdq(value) if quantize_skips else value
        total = net.op("Add", net.block(inner, f"b{i}"), skip, name=f"add{i}")
        value = net.op("Relu", total)
    pooled = net.op("Flatten", net.op("GlobalAveragePool", value, name="pool"))
    weight = net.weight("w", (100, 64))
    return net.model(net.op("Gemm", net.qdq(pooled), weight, transB=1, name="classifier"))


@pytest.fixture(scope="module")
def checked() -> Checked:
    """The network whose skips are float."""
    return check_proto(residual_network(False), Asked(gpu="a100-pcie-80gb"))


def test_float_skips_and_pools_are_all_that_is_found(checked: Checked) -> None:
    ids = Counter((f.id, f.grade) for f in checked.findings)
    assert ids.pop(("pool-input-float", "note"), 0) + ids.pop(("pool-input-float", "slow"), 0) == 1
    assert ids == {("residual-bare", "slow"): 3, ("move-has-float-reader", "slow"): 1}
    skips = [f for f in checked.findings if f.id == "residual-bare"]
    assert {f.nodes[0] for f in skips} == {"add0", "add1", "add2"}
    assert all("is float, so that it writes float" in f.message for f in skips)


def test_with_quantized_skips_only_the_global_pool_is_named() -> None:
    model = residual_network(True, blocks=24, batch=1)
    (finding,) = check_proto(model, Asked(gpu="a100-pcie-80gb")).findings
    assert (finding.id, finding.grade, finding.nodes[0]) == ("pool-input-float", "note", "pool")
    assert "compile FILE --passes int8" in finding.cure  # nobody measured the range in front of it


def test_findings_have_prices_that_add_up_and_come_by_price(checked: Checked) -> None:
    shares = [f.share for f in checked.findings]
    assert all(share is not None and share > 0 for share in shares)
    assert shares == sorted(shares, reverse=True)
    assert 0.1 < sum(s for s in shares if s) < 0.9
    assert "% of the time on an A100 PCIe 80 GB" in checked.findings[0].cost


@pytest.mark.parametrize("batch", [1, 32])
def test_prices_are_those_of_the_batch(batch: int) -> None:
    net = Qat(("n", 64, 56, 56))
    inner = net.op("Relu", net.block("x", "a"))
    skip = net.op("Relu", net.block("x", "s"))
    total = net.op("Relu", net.op("Add", net.block(inner, "b"), skip))
    model = net.model(net.block(total, "c"))
    (finding,) = check_proto(model, Asked(batch=batch)).findings
    saved = 2 * 3 * 64 * 56 * 56 * batch / 1e6  # skip and sum, read and written, FP32 for INT8
    traffic = float(finding.cost.partition(" % of the time")[2].split(", ")[1].split()[0])
    assert finding.id == "residual-bare" and traffic >= saved

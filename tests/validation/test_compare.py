"""What a pass changed, held against what its operators gave before."""

import numpy as np
import pytest

from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.validation.compare import after_pass
from sparqc.validation.reference import Reference

TABLE = default_table()
SAMPLE = [np.linspace(-2, 2, 64, dtype=np.float32)]


@pytest.mark.parametrize("other", ["i16", "i32", "f16"])
def test_only_floats_of_eleven_bits_let_numbers_be_further_off(other):
    """Integers of sixteen bits beside a quantizer are no reason to believe its scale."""
    graph = parse_statements(
        "x: f32[64]\ns: const f32[] = 0.02\nq = q.quantize(x, s)\nd = q.dequantize(q, s)\n"
        f'i = nn.cast(x, to="{other}")\ny = nn.relu(d)\n',
        TABLE, "onnx",
    )  # fmt: skip
    before = Reference.of(graph, SAMPLE, TABLE)
    dequantizer = graph.value("d").producer
    graph.set_operand(dequantizer, "scale", graph.constant(np.float32(0.0202)))
    _, departures = after_pass(graph, before, [], SAMPLE, TABLE)
    found = [departure.node.output.name for departure in departures]
    assert found == ([] if other == "f16" else ["d"])

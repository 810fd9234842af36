"""The numbers of an attention that is taken apart."""

import numpy as np
import pytest

from sparqc.ir.graph import Graph, TensorType
from sparqc.passes.natives.attention import causal_mask


@pytest.mark.parametrize(("dtype", "of"), [("f32", np.float32), ("f16", np.float16)])
def test_a_causal_mask_has_the_type_of_the_queries(dtype: str, of: type) -> None:
    graph = Graph("fx")
    q, k = (
        graph.add_input(name, TensorType(dtype, (1, 2, n, 4))) for name, n in (("q", 2), ("k", 3))
    )
    mask = causal_mask(q, k)
    assert mask.dtype == of
    assert mask.tolist() == [[0, -np.inf, -np.inf], [0, 0, -np.inf]]

"""What cures compute for quantizers."""

import numpy as np
import pytest

from sparqc.passes.natives.quantizers import one_scale


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_one_scale_has_the_type_of_the_weight(dtype: type) -> None:
    scale = one_scale(np.array([[0.5, -1.27], [0.0, 1.0]], dtype))
    assert (scale.dtype, scale.shape) == (dtype, ())
    assert float(scale) == pytest.approx(0.01, rel=1e-3)
    assert one_scale(np.zeros((2, 2), dtype)) == np.finfo(dtype).tiny

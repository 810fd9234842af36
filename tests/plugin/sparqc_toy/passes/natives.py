"""What the pattern files of the toy plug-in compute."""

import numpy as np

from sparqc.extend import Array, native


@native("toy_frac")
def toy_frac(x: Array) -> Array:
    """The fractional part of each element, with the sign of the element."""
    return x - np.trunc(x)

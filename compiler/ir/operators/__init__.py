"""The rows of the operator table, one file for each kind of operator.

Where two rows claim one raw spelling, the one that comes first is asked first: a Gemm that is a
linear layer is nn.linear, every other one nn.gemm.
"""

from sparqc.ir.operators import (
    activation,
    attention,
    conversion,
    convolution,
    elementwise,
    linear,
    movement,
    normalization,
    pooling,
    quantization,
    reduction,
    resize,
    shape,
)

OPERATORS = (
    *convolution.OPERATORS,
    *linear.OPERATORS,
    *normalization.OPERATORS,
    *elementwise.OPERATORS,
    *activation.OPERATORS,
    *pooling.OPERATORS,
    *reduction.OPERATORS,
    *conversion.OPERATORS,
    *shape.OPERATORS,
    *movement.OPERATORS,
    *resize.OPERATORS,
    *attention.OPERATORS,
    *quantization.OPERATORS,
)

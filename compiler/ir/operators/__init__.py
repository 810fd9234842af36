"""The rows of the operator table, one file for each kind of operator.

Where two rows claim one raw spelling, the one that comes first is asked first: a Gemm that is a
linear layer is nn.linear, every other one nn.gemm.
"""

from sparqc.ir.operators import (
    activation,
    attention,
    broadcast,
    clip,
    comparison,
    conversion,
    convolution,
    elementwise,
    linear,
    movement,
    normalization,
    padding,
    pooling,
    quantization,
    reduction,
    resize,
    scatter,
    selection,
    shape,
    sizes,
    softmax,
)

OPERATORS = (
    *convolution.OPERATORS,
    *linear.OPERATORS,
    *normalization.OPERATORS,
    *elementwise.OPERATORS,
    *comparison.OPERATORS,
    *activation.OPERATORS,
    *clip.OPERATORS,
    *softmax.OPERATORS,
    *conversion.OPERATORS,
    *pooling.OPERATORS,
    *reduction.OPERATORS,
    *shape.OPERATORS,
    *broadcast.OPERATORS,
    *sizes.OPERATORS,
    *movement.OPERATORS,
    *padding.OPERATORS,
    *selection.OPERATORS,
    *scatter.OPERATORS,
    *resize.OPERATORS,
    *attention.OPERATORS,
    *quantization.OPERATORS,
)

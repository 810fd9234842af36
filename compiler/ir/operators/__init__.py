"""The rows of the operator table, one file for each kind of operator."""

from sparqc.ir.operators import activation, convolution, elementwise, quantization

OPERATORS = (
    *convolution.OPERATORS,
    *elementwise.OPERATORS,
    *activation.OPERATORS,
    *quantization.OPERATORS,
)

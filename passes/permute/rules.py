"""Which operator ties which orders, by its name in the vocabulary.

An operator that is not listed, a raw one above all, needs all its axes in the order in which they
are: that is refusing, not guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sparqc.ir.graph import Node
from sparqc.passes.permute import movement, pointwise, products
from sparqc.passes.permute.ties import Ties

Rule = Callable[[Node, Ties], None]

_ELEMENTWISE = (
    "nn.add", "nn.sub", "nn.mul", "nn.div", "nn.pow", "nn.min", "nn.max", "nn.neg", "nn.exp",
    "nn.log", "nn.sqrt", "nn.reciprocal", "nn.abs", "nn.floor", "nn.sin", "nn.cos", "nn.erf",
    "nn.tanh", "nn.sigmoid", "nn.equal", "nn.less", "nn.less_or_equal", "nn.greater",
    "nn.greater_or_equal", "nn.not_equal", "nn.and", "nn.or", "nn.not", "nn.relu",
    "nn.leaky_relu", "nn.elu", "nn.hardsigmoid", "nn.silu", "nn.rsqrt", "nn.hardswish", "nn.mish",
    "nn.softplus", "nn.gelu", "nn.clip", "nn.softmax", "nn.log_softmax", "nn.identity", "nn.cast",
    "nn.where", "sparse.mask",
)  # fmt: skip
_SPATIAL = (
    "nn.max_pool", "nn.average_pool", "nn.global_average_pool", "nn.adaptive_average_pool",
    "nn.resize",
)  # fmt: skip
_REDUCTIONS = (
    "nn.reduce_mean", "nn.reduce_sum", "nn.reduce_max", "nn.reduce_min", "nn.reduce_l2",
)  # fmt: skip

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_ELEMENTWISE, pointwise.elementwise),
        **dict.fromkeys(_SPATIAL, movement.spatial),
        **dict.fromkeys(_REDUCTIONS, pointwise.reduction),
        "nn.argmax": pointwise.argmax,
        "nn.batch_norm": pointwise.batch_norm,
        "nn.instance_norm": pointwise.per_channel,
        "nn.prelu": pointwise.batch_norm,
        "nn.layer_norm": pointwise.layer_norm,
        "nn.full_like": pointwise.of_shape,
        "sym.size": pointwise.of_shape,
        "nn.expand": pointwise.expand,
        "nn.expand_to": pointwise.expand,
        "nn.expand_as": pointwise.expand_as,
        "q.qdq": pointwise.quantizer,
        "q.quantize": pointwise.quantizer,
        "q.dequantize": pointwise.quantizer,
        "nn.conv": products.conv,
        "nn.conv_transpose": products.conv_transpose,
        "nn.linear": products.linear,
        "nn.gemm": products.gemm,
        "nn.matmul": products.matmul,
        "nn.einsum": products.einsum,
        "nn.attention": products.attention,
        "nn.flatten": movement.reshape,
        "nn.reshape": movement.reshape,
        "nn.transpose": movement.transpose,
        "nn.squeeze": movement.squeeze,
        "nn.unsqueeze": movement.unsqueeze,
        "nn.concat": movement.concat,
        "nn.split": movement.split,
        "nn.slice": movement.cut,
        "nn.stack": movement.stack,
        "nn.unbind": movement.unbind,
        "nn.roll": movement.roll,
        "nn.pad": movement.pad,
        "nn.gather": movement.gather,
        "nn.depth_to_space": movement.depth_to_space,
    }
)

"""Operators with weights that PyTorch computes from others, and ONNX has none of: taken apart.

torch.onnx takes them apart as it exports them.  Done before any pass, their weights are those of
linear layers, as they are in an ONNX file of the same model, and may become INT8 and 2:4.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx
from torch._guards import detect_fake_mode
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from sparqc.ir.fx.fold import attribute


def taken_apart(module: fx.GraphModule) -> fx.GraphModule:
    """An exported module with linear layers in the place of such operators; the same object without
    any."""
    if not any(node.target in _COMPOSED for node in module.graph.nodes):
        return module
    module = fx.GraphModule(module, copy.deepcopy(module.graph))
    for node in list(module.graph.nodes):
        if node.target in _COMPOSED:
            _take_apart(node, module)
    return module


def _take_apart(node: fx.Node, module: fx.GraphModule) -> None:
    read, tree = pytree.tree_flatten((node.args, node.kwargs))
    mode = detect_fake_mode([a.meta.get("val") for a in read if isinstance(a, fx.Node)])
    assert mode is not None  # an exported module has a fake tensor noted on every node
    with mode:
        given = [_fake(a, module, mode) if isinstance(a, fx.Node) else a for a in read]

        def compute(*flat: Any) -> Any:
            args, kwargs = pytree.tree_unflatten(flat, tree)
            return _COMPOSED[node.target](*args, **kwargs)

        body = make_fx(compute, pre_dispatch=True)(*given)
    places = (n for n in body.graph.nodes if n.op == "placeholder")
    made: dict[fx.Node, Any] = dict(zip(places, read, strict=True))
    with module.graph.inserting_before(node):
        for inner in body.graph.nodes:
            if inner.op == "call_function":
                made[inner] = module.graph.node_copy(inner, made.__getitem__)
                made[inner].meta = {**node.meta, "val": inner.meta["val"]}
            elif inner.op == "output":
                _replace(node, fx.map_arg(inner.args[0], made.__getitem__))


def _fake(node: fx.Node, module: fx.GraphModule, mode: FakeTensorMode) -> Any:
    if node.op == "get_attr":
        return mode.from_tensor(attribute(module, str(node.target)), static_shapes=True)
    return node.meta["val"]


def _replace(node: fx.Node, results: Any) -> None:
    """Let the readers of a node read one result, or each its own of several."""
    if isinstance(results, fx.Node):
        node.replace_all_uses_with(results)
    for reader in list(node.users):
        reader.replace_all_uses_with(results[reader.args[1]])
        reader.graph.erase_node(reader)
    node.graph.erase_node(node)


def _lstm_cell(
    x: Tensor, hx: list[Tensor], w_ih: Tensor, w_hh: Tensor,
    b_ih: Tensor | None = None, b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    gates = F.linear(x, w_ih, b_ih) + F.linear(hx[0], w_hh, b_hh)
    take, keep, new, give = gates.chunk(4, 1)
    cell = keep.sigmoid() * hx[1] + take.sigmoid() * new.tanh()
    return give.sigmoid() * cell.tanh(), cell


def _gru_cell(
    x: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor,
    b_ih: Tensor | None = None, b_hh: Tensor | None = None,
) -> Tensor:  # fmt: skip
    reset, keep, new = F.linear(x, w_ih, b_ih).chunk(3, 1)
    reset_h, keep_h, new_h = F.linear(hx, w_hh, b_hh).chunk(3, 1)
    state = (new + (reset + reset_h).sigmoid() * new_h).tanh()
    return (hx - state) * (keep + keep_h).sigmoid() + state


def _rnn_cell(act: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def cell(
        x: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor,
        b_ih: Tensor | None = None, b_hh: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        return act(F.linear(x, w_ih, b_ih) + F.linear(hx, w_hh, b_hh))

    return cell


def _bilinear(a: Tensor, b: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[n, o] = sum over i, j of a[n, i] weight[o, i, j] b[n, j]: all [i] -> [o, j] at once."""
    out, first, second = weight.shape
    flat = weight.transpose(1, 2).reshape(out * second, first)
    rows = F.linear(a, flat)
    y = (rows.reshape(*rows.shape[:-1], out, second) * b.unsqueeze(-2)).sum(-1)
    return y if bias is None else y + bias


_COMPOSED: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.lstm_cell.default: _lstm_cell,
    torch.ops.aten.gru_cell.default: _gru_cell,
    torch.ops.aten.rnn_tanh_cell.default: _rnn_cell(torch.tanh),
    torch.ops.aten.rnn_relu_cell.default: _rnn_cell(torch.relu),
    torch.ops.aten.bilinear.default: _bilinear,
}

"""What is wrong with a model or its inputs, found before and after it is captured."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.bounds import excess
from sparqc.ir.fx.origin import source_of
from sparqc.ir.graph import Graph, Node, Value
from sparqc.ir.layer_names import name_of
from sparqc.ir.levels.constant_results import input_dependent_values
from sparqc.ir.text.tokens import type_text

#: Frames of the compiler, which tell a person nothing.
_OWN = f'File "{Path(__file__).parent}'


def check_runs(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """UsageError where the module does not even run on the example inputs."""
    try:
        module(*args, **kwargs)
    except Exception as error:
        given = ", ".join(_describe(leaf) for leaf in pytree.tree_leaves((args, kwargs)))
        raise UsageError(
            f"{user_line(error)}{type(module).__name__} does not run on the example inputs "
            f"({given}): {first_line(error)}",
            hint="check the number, the shapes and the types of the example inputs",
        ) from error


def _describe(leaf: Any) -> str:
    if not isinstance(leaf, Tensor):
        return repr(leaf)
    return f"{str(leaf.dtype).removeprefix('torch.')}{list(leaf.shape)}"


def check_example(graph: Graph, tensors: Sequence[Tensor]) -> None:
    """UsageError where the example inputs are not what the graph takes."""
    for value, tensor in itertools.zip_longest(graph.inputs, tensors):
        taken = value.shape if value is not None else None
        given = tuple(tensor.shape) if tensor is not None else None
        pairs = itertools.zip_longest(taken or (), given or ())
        fits = all(size == actual or isinstance(size, str) for size, actual in pairs)
        if taken is None or given is None or len(taken) != len(given) or not fits:
            wanted = ", ".join(type_text(v.type) for v in graph.inputs)
            raise UsageError(
                f"the model takes ({wanted}), the example inputs are "
                f"({', '.join(_describe(t) for t in tensors)})",
                hint="check the number and the shapes of the example inputs",
            )


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    text = str(error).strip() or type(error).__name__
    line = re.sub(r"\s+", " ", text.splitlines()[0])
    return line.removesuffix(' For more information, run with TORCH_LOGS="+dynamic".')[:300]


def user_line(error: BaseException) -> str:
    """ "model.py:12: ", the innermost line outside torch that an error came through."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f'File "{trace.tb_frame.f_code.co_filename}", line {trace.tb_lineno}')
        trace = trace.tb_next
    users = [frame for frame in frames if not frame.startswith(_OWN)]
    source = source_of("\n".join(users))
    return f"{source}: " if source else ""


def check_weights(module: nn.Module) -> None:
    """SparqcError naming the first weight that is NaN or infinite (a mask may be -inf), or that has
    no numbers at all."""
    _check_stored(module)
    for name, tensor in module.named_parameters():
        # The sum is not finite if one number is not, and takes no memory.
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum(dtype=torch.float64)):
            raise _bad_weight("parameter", name, tensor)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point() and torch.isnan(buffer).any():
            raise _bad_weight("buffer", name, buffer)


def _check_stored(module: nn.Module) -> None:
    stored = [*module.named_parameters(), *module.named_buffers()]
    empty = [name for name, tensor in stored if tensor.is_meta]
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise SparqcError(
            f"{empty[0]}{more} of {len(stored)} tensors lie on the device meta: they have shapes, "
            "and no numbers",
            hint='build the model on "cpu", or give it numbers first: '
            'module.to_empty(device="cpu") and load_state_dict(…), or load_state_dict(…, '
            "assign=True)",
        )


def check_sizes(graph: Graph) -> None:
    """SparqcError naming the first value that is too large to be computed: a few bytes can ask for
    more than any machine holds."""
    depends = {v.name for v in input_dependent_values(graph)}
    made = [(v.name, v.type) for n in graph.nodes for v in n.outputs]
    computed = {name for name, _ in made} - depends
    stored = sum(v.data.size for v in graph.constants if v.data is not None)
    for name, what in excess(made, computed, stored):
        node = graph.value(name).producer
        raise SparqcError(
            f"{described(node) if node else name}: {what}",
            hint="make it smaller, or an input of the model",
        )


def check_groups(graph: Graph) -> None:
    """SparqcError where a convolution has as many groups as the batch asks for."""
    found = open_groups(graph)
    if found is not None:
        raise SparqcError(
            f"{described(found)} has a number of groups that depends on the inputs; in ONNX it is "
            "fixed",
            hint="export the program with a fixed batch: without dynamic_shapes",
        )


def open_groups(graph: Graph) -> Node | None:
    """The first convolution whose number of groups is computed from the sizes of inputs."""
    for node in graph.nodes:
        groups = node.operands.get("groups")
        if node.op.startswith("aten.conv") and isinstance(groups, Value) and not groups.is_const:
            return node
    return None


def described(node: Node) -> str:
    """ "aten.conv2d.default (model.py:12)"."""
    source = f" ({node.origin.source})" if node.origin.source else ""
    return f"{node.op}{source}"


def _bad_weight(kind: str, name: str, tensor: Tensor) -> SparqcError:
    bad = int((~torch.isfinite(tensor)).sum())
    return SparqcError(
        f"{kind} {name} has {bad} numbers of {tensor.numel()} that are NaN or infinite",
        hint="the training diverged or the checkpoint is broken; load one that is sound",
    )


def check_batch_norm(graph: Graph) -> None:
    """A BatchNorm that normalizes with the batch's own statistics is nothing to compile."""
    varying = input_dependent_values(graph)  # weights may be standardized by their own statistics
    for node in graph.nodes:
        batch_norm = node.op.startswith("aten.") and "batch_norm" in node.op
        if not batch_norm or varying.isdisjoint(node.inputs):
            continue
        if node.attributes.get("training", True) is not False:
            raise SparqcError(
                f"BatchNorm {name_of(node)!r} uses the statistics of the "
                "batch, not the ones from training",
                hint="build it with track_running_stats=True, and do not call train() in forward",
            )

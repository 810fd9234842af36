"""The operators that a program in a file may call, from what torch knows of each.

A program is run while it is captured, so each of its calls has to be arithmetic on the tensors of
the program.  Of ATen these are the operators that torch itself can say in others (its core set, its
decompositions, its composites), those that the operator table reads, and a few by name; in-place
forms of them write nothing but a tensor of the program.  What reads files (`from_file`), replaces
storage (`set_`), believes strides (`_reshape_alias`) or belongs to one device is none of these.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import torch

from sparqc.ir.vocabulary.table import default_table
from sparqc.tools.model.program.operator_words import ALSO, SIZES, TEXTS
from sparqc.tools.model.program.refusal import Refusal, excerpt

#: Calls of a graph inside the graph, once: gradient and autocast modes, and branches.
_HIGHER_ORDER = frozenset(
    f"torch.ops.higher_order.{name}"
    for name in ("wrap_with_set_grad_enabled", "wrap_with_autocast", "cond")
)
_LIBRARIES = {
    "sparqc": {"qdq", "mask"},
    "torchvision": {"nms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d"},
}
#: What torch says in others and is yet no arithmetic, or leaves the plain tensors of the CPU.
_NEVER = re.compile(
    r"from_file|set_|set_data|resize\w*|data|record_stream|pin_memory|is_pinned|requires_grad_|"
    r"retains?_grad|retains_grad|is_leaf|output_nr|get_gradients|get_device|is_vulkan_available|"
    r"fused_moving_avg\w*|choose_qparams\w*|nested_\w+|flatten_dense_tensors|coalesce|smm|sspaddmm|"
    r"can_cast|promote_types|\w*sparse\w*|\w*backward\w*|(cudnn|miopen|mkldnn|mps|fbgemm|quantized)_\w+"
)
_TYPES = re.compile(
    r"(Optional\[|List\[)*"
    r"(Tensor|bool|float|int|number|str|Device|Generator|ScalarType|Layout|MemoryFormat|Scalar)\]*"
)
_CALL = re.compile(r"torch\.ops\.(?P<library>[a-z]\w*)\.(?P<name>\w+)(?:\.(?P<overload>\w+))?")


def check_operator(target: str) -> None:
    """Nothing for an operator that a program may call.

    Raises:
        Refusal: for any other target of a call.
    """
    if not is_allowed(target):
        raise Refusal(f"a call of {excerpt(target)}, which is no operator of a network")


@cache
def is_allowed(target: str) -> bool:
    """Whether the target of a call, "torch.ops.aten.relu.default", is on the list."""
    if target in SIZES or target in _HIGHER_ORDER:
        return True
    call = _CALL.fullmatch(target)
    if call is None:
        return False
    library, name, overload = call["library"], call["name"], call["overload"] or "default"
    if library == "quantized_decomposed":
        _register_quantized()
    elif library != "aten" and default_table().fx_candidates(f"{library}.{name}.{overload}"):
        return True
    if library not in ("aten", "quantized_decomposed") and name not in _LIBRARIES.get(library, ()):
        return False
    operator = _overload(library, name, overload)
    if operator is None or not _is_plain(operator):
        return False
    return library != "aten" or _is_arithmetic(name)


def schema_of(target: str) -> Any:
    """The schema of an operator that a program may call; None for arithmetic on sizes."""
    call = _CALL.fullmatch(target)
    if call is None or target in _HIGHER_ORDER:
        return None
    operator = _overload(call["library"], call["name"], call["overload"] or "default")
    return getattr(operator, "_schema", None)


def _register_quantized() -> None:
    """Torch's quantization of exported programs comes with it, behind an import of its own."""
    import torch.ao.quantization.fx._decomposed  # noqa: F401


def _overload(library: str, name: str, overload: str) -> Any:
    """The overload that torch has registered, None where there is none of these names."""
    packet = getattr(getattr(torch.ops, library), name, None)
    if not isinstance(packet, torch._ops.OpOverloadPacket) or overload not in _overloads(packet):
        return None
    return getattr(packet, overload)


def _overloads(packet: Any) -> list[str]:
    return list(packet.overloads())


def _is_plain(operator: Any) -> bool:
    """Whether all that it takes are tensors, numbers and the words of an enumeration."""
    return all(
        _TYPES.fullmatch(str(argument.type))
        and ("str" not in str(argument.type) or argument.name in TEXTS)
        and not argument.is_out
        for argument in operator._schema.arguments
    )


def _is_arithmetic(name: str) -> bool:
    if _NEVER.fullmatch(name):
        return False
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    return not _NEVER.fullmatch(plain) and (plain in _arithmetic() or name in _arithmetic())


@cache
def _arithmetic() -> frozenset[str]:
    """The names of ATen's operators that stand for arithmetic, whatever the overload.

    Private ones only where they belong to the core set, or are named above.
    """
    return frozenset(ALSO | {_name(op) for op in _composed()} | _read_by_the_table())


def _composed() -> list[Any]:
    from torch._decomp import decomposition_table

    composites = (
        overload
        for full in torch._C._dispatch_get_all_op_names()
        if full.startswith("aten::")
        and (overload := _overload("aten", *_split(full))) is not None
        and (
            torch.Tag.core in overload.tags
            or torch._C._dispatch_has_kernel_for_dispatch_key(full, "CompositeImplicitAutograd")
        )
    )
    known = [*decomposition_table, *composites]
    return [
        op
        for op in known
        if getattr(op, "namespace", "") == "aten"
        and (not _name(op).startswith("_") or torch.Tag.core in getattr(op, "tags", ()))
    ]


def _split(full: str) -> tuple[str, str]:
    name, _, overload = full.removeprefix("aten::").partition(".")
    return name, overload or "default"


def _name(operator: Any) -> str:
    return str(operator._schema.name).removeprefix("aten::")


def _read_by_the_table() -> set[str]:
    table = default_table()
    rows = (row for name in table.names if (row := table.get(name)) and row.fx)
    targets = (target.split(".") for row in rows if row.fx for target in row.fx.targets)
    return {parts[1] for parts in targets if parts[0] == "aten" and len(parts) > 1}

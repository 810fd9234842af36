"""The JSON of a program in a file, checked value by value, without what a network does not need.

Torch turns the names in it into Python code and executes that, so each has to be a name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from sparqc.tools.model.program.arguments import check_arguments
from sparqc.tools.model.program.numbers import check_numbers
from sparqc.tools.model.program.operators import check_operator
from sparqc.tools.model.program.refusal import Refusal, excerpt
from sparqc.tools.model.program.sizes import check_size
from sparqc.tools.model.program.trees import check_tree

#: What is kept of the metadata of a call: where it comes from, as texts that nobody evaluates.
_METADATA = ("stack_trace", "nn_module_stack", "torch_fn")
_OBJECTS = ("as_operator", "as_custom_obj", "custom_obj", "token")
#: Where an object is a table of what the program calls by names of its own.
_TABLES = frozenset(
    (
        "tensor_values",
        *("sym_int_values", "sym_bool_values", "sym_float_values", "range_constraints"),
        *("as_string_to_argument", "opset_version", "metadata"),
    )
)


def checked_program(text: bytes) -> bytes:
    """The JSON of a program that can be handed to torch.

    Raises:
        Refusal: where it holds what could act.
        ValueError: where it is no JSON.
    """
    content = json.loads(text)
    for item in _objects(content):
        _check_object(item)
    for call in filter(_is_call, _objects(content)):
        check_arguments(call)
        _strip_metadata(call)
    for graph in _graphs(content):
        check_numbers(graph["nodes"])
    for table in _tables(content, "range_constraints"):
        for name in table:
            _check_symbol(name)
    content["guards_code"] = []
    content["graph_module"]["metadata"] = {}
    content["graph_module"]["treespec_namedtuple_fields"] = {}
    return json.dumps(content).encode()


def _objects(content: Any) -> Iterator[dict[str, Any]]:
    """Every object in the JSON; numbers in it have to fit 64 bits."""
    stack = [content]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            yield item
            for key, value in item.items():
                is_table = key in _TABLES and isinstance(value, dict)
                stack += value.values() if is_table else [value]
        elif isinstance(item, int) and not -(1 << 63) <= item < 1 << 63:
            raise Refusal(f"the number {excerpt(item)}, which fits no 64 bits")


def _is_call(item: dict[str, Any]) -> bool:
    """Nodes have a target; of other things named "target" torch reads none."""
    return "target" in item and ("inputs" in item or "outputs" in item)


def _is_target(value: object) -> None:
    check_operator(value if isinstance(value, str) else repr(value))


def _check_name(value: object) -> None:
    if value not in (None, "") and not (isinstance(value, str) and value.isidentifier()):
        raise Refusal(f"the name {excerpt(value)}, which is none in Python")


def _check_path(value: object) -> None:
    """A path of attributes, which torch writes between quotes: "blocks.0.layer-1"."""
    if value is None:
        return
    if not isinstance(value, str) or not value.isprintable() or set(value) & set("\"'\\"):
        raise Refusal(f"the name {excerpt(value)}, which is none of a parameter or module")


def _check_names(values: object) -> None:
    for value in values if isinstance(values, (list, dict)) else [values]:
        _check_name(value)


def _check_symbol(name: str) -> None:
    """A symbol of torch, s77 or u0; torch counts up to the number of u, so that has to be small."""
    if not (name.isascii() and name.isalnum() and name[:1].isalpha()):
        raise Refusal(f"the name {excerpt(name)}, which is no symbol")
    if len(name.lstrip("abcdefghijklmnopqrstuvwxyz")) > 6:
        raise Refusal(f"the symbol {excerpt(name)}, whose number is too large")


#: How the value under a key is checked, wherever the key stands.
_CHECKS: dict[str, Callable[[Any], None]] = {
    "expr_str": check_size,
    "in_spec": check_tree,
    "out_spec": check_tree,
    **dict.fromkeys(("name", "as_name", "user_input_name"), _check_name),
    **dict.fromkeys(("parameter_name", "buffer_name", "tensor_constant_name"), _check_path),
    "fqn": _check_path,
    **dict.fromkeys(("forward_arg_names", "tensor_values"), _check_names),
    **dict.fromkeys(("sym_int_values", "sym_bool_values", "sym_float_values"), _check_names),
}


def _check_object(item: dict[str, Any]) -> None:
    for key in item.keys() & _CHECKS.keys():
        _CHECKS[key](item[key])
    for key in item.keys() & set(_OBJECTS):
        raise Refusal(f"the object {excerpt(item[key])}, which is no tensor")
    if item.get("custom_obj_values"):
        raise Refusal("objects that are no tensors")
    if _is_call(item):
        _is_target(item["target"])


def _strip_metadata(call: dict[str, Any]) -> None:
    metadata = call.get("metadata")
    kept = metadata if isinstance(metadata, dict) else {}
    call["metadata"] = {key: str(kept[key]) for key in _METADATA if key in kept}


def _graphs(content: Any) -> Iterator[dict[str, Any]]:
    return (item for item in _objects(content) if isinstance(item.get("nodes"), list))


def _tables(content: Any, key: str) -> Iterator[dict[str, Any]]:
    return (item[key] for item in _objects(content) if isinstance(item.get(key), dict))

"""The arguments of a call in a file: in the order of the schema, tensors where it has tensors."""

from __future__ import annotations

from typing import Any

from sparqc.tools.model.program.operators import schema_of
from sparqc.tools.model.program.refusal import Refusal, excerpt

_TENSORS = {"as_tensor", "as_tensors", "as_optional_tensor", "as_optional_tensors", "as_none"}
#: Operators of two tensors take a number in the place of one.
_NUMBERS = {"as_int", "as_float", "as_bool", "as_complex"}
_NUMBERS |= {"as_sym_int", "as_sym_float", "as_sym_bool", "as_none"}
_POSITIONAL = 1


def check_arguments(call: dict[str, Any]) -> None:
    """Nothing where the arguments fit the operator; calls without a schema are not looked at.

    Raises:
        Refusal: where one is missing in front of another, or is of another kind.
    """
    schema = schema_of(str(call["target"]))
    if schema is None:
        return
    kinds = {argument.name: "Tensor" in str(argument.type) for argument in schema.arguments}
    given = [named["name"] for named in call["inputs"] if named.get("kind") == _POSITIONAL]
    if given != list(kinds)[: len(given)]:
        raise Refusal(f"a call of {excerpt(call['target'])} whose arguments are in disorder")
    for named in call["inputs"]:
        is_tensor = set(named["arg"]) <= _TENSORS
        fits = is_tensor == kinds.get(named["name"]) or set(named["arg"]) <= _NUMBERS
        if not fits and not _is_empty(named["arg"]):
            raise Refusal(
                f"a call of {excerpt(call['target'])} with another kind of {excerpt(named['name'])}"
            )


def _is_empty(argument: dict[str, Any]) -> bool:
    """An empty list has no kind: torch writes one of whatever."""
    return all(value == [] for value in argument.values())

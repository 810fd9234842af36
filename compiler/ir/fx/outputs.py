"""Names for the outputs of a model, from the way it nests them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparqc.ir.fx.native import Ref


def output_names(template: Any, spec: Any) -> list[str]:
    """A name for each output: its key in a dict, "output" where there is one only.

    `template` is what forward returns, with a `Ref` for each tensor; `spec` is torch's description
    of how that is nested, None where it is not.
    """
    names: list[str] = []
    for path in _paths(template, spec):
        name = "_".join(path) or "output"
        name = f"output_{name}" if name[0].isdigit() else name
        while name in names:
            name += "_"
        names.append(name)
    return names


def _paths(template: Any, spec: Any) -> list[list[str]]:
    leaves = list(template) if isinstance(template, list | tuple) else [template]
    if spec is not None:
        where = _spec_paths(spec)
    elif len(leaves) == 1:
        where = [[]]
    else:
        where = [[str(index)] for index in range(len(leaves))]
    return [path for path, leaf in zip(where, leaves, strict=True) if isinstance(leaf, Ref)]


def _spec_paths(spec: Any) -> list[list[str]]:
    """The keys that lead to each leaf of a torch pytree."""
    if spec.is_leaf():
        return [[]]
    children = list(spec.children())
    keys = _keys(spec.context, len(children))
    return [
        [key, *path]
        for key, child in zip(keys, children, strict=True)
        for path in _spec_paths(child)
    ]


def _keys(context: Any, count: int) -> Sequence[str]:
    """The keys of a dict, the fields of a named tuple or a dataclass, or numbers."""
    fields = getattr(context, "_fields", context)
    if isinstance(fields, list | tuple) and fields and isinstance(fields[0], list | tuple):
        fields = fields[0]  # a registered dataclass: the fields that are there, then the others
    if isinstance(fields, list | tuple) and len(fields) == count:
        return [str(field) for field in fields]
    return [str(index) for index in range(count)]

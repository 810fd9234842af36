"""How the inputs and outputs of a program in a file are nested: tuples, lists and dictionaries.

Torch imports the modules that the description of other types names.
"""

from __future__ import annotations

import json
from typing import Any

from sparqc.tools.model.program.refusal import Refusal, excerpt

_SEQUENCES = ("builtins.tuple", "builtins.list")
_MAPPINGS = ("builtins.dict", "collections.OrderedDict")
_DEEPEST = 32


def check_tree(text: object) -> None:
    """Nothing for a nesting of tuples, lists and dictionaries as torch writes it.

    Raises:
        Refusal: for any other type in it, by its name.
        ValueError: for a text that is no JSON, or not of torch's form.
    """
    if not isinstance(text, str):
        raise Refusal(f"a nesting of inputs {excerpt(text)}, which is no text")
    parsed = json.loads(text)
    if not isinstance(parsed, list) or len(parsed) != 2 or parsed[0] != 1:
        raise Refusal(f"a nesting of inputs {excerpt(text)} in a form that is not known")
    stack = [(parsed[1], 0)]
    while stack:
        node, depth = stack.pop()
        if depth > _DEEPEST or not isinstance(node, dict):
            raise Refusal(f"a nesting of inputs {excerpt(text)} in a form that is not known")
        _check_node(node)
        stack += [(child, depth + 1) for child in node["children_spec"]]
    _check_keywords(parsed[1])


def _check_node(node: dict[str, Any]) -> None:
    kind, context, children = node.get("type"), node.get("context"), node.get("children_spec")
    if not isinstance(children, list):
        raise Refusal(f"a nesting of inputs {excerpt(children)} in a form that is not known")
    if kind is None and context is None and not children:
        return
    if kind in _SEQUENCES and context in ("null", None):
        return
    if kind in _MAPPINGS and _is_keys(context, len(children)):
        return
    raise Refusal(f"inputs or outputs in a {excerpt(kind)}, not in tuples, lists or dictionaries")


def _is_keys(context: object, number: int) -> bool:
    if not isinstance(context, str):
        return False
    keys = json.loads(context)
    return (
        isinstance(keys, list)
        and len(keys) == number
        and all(isinstance(key, (str, int)) for key in keys)
    )


def _check_keywords(root: dict[str, Any]) -> None:
    """The inputs are a pair of a tuple and a dictionary, whose keys torch writes into code."""
    for child in root["children_spec"]:
        if child["type"] in _MAPPINGS and root["type"] == "builtins.tuple":
            for key in json.loads(child["context"]):
                if not (isinstance(key, str) and key.isidentifier()) and not isinstance(key, int):
                    raise Refusal(f"the keyword {excerpt(key)}, which is no name")

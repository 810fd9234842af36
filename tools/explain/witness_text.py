"""A witness as the text of its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sparqc.predict.witness import SeenKernel

_TITLE = """\
# What the kernels of a real engine did: sizes, types and times, no names and no weights.
# `network = "..."` may say of what.  `sparqc explain --witnesses` takes this file.
"""


def witness_text(
    name: str, head: Mapping[str, Any], kernels: Sequence[SeenKernel], title: str = _TITLE
) -> str:
    """The file of one witness; `head` are the entries in front of its kernels."""
    return f"{title}\n[{name}]\n{_body(head, kernels)}"


def witness_name(head: Mapping[str, Any], kernels: Sequence[SeenKernel]) -> str:
    """The GPU, the version of the compiler, and a digest of what the witness holds."""
    digest = hashlib.sha256(_body(head, kernels).encode()).hexdigest()[:8]
    version = str(head["version"]).replace(".", "-")
    return f"{head['gpu']}-{version}-{digest}"


def _body(head: Mapping[str, Any], kernels: Sequence[SeenKernel]) -> str:
    entries = {k: v for k, v in head.items() if v not in (None, "")}
    text = "".join(f"{key} = {_value(value)}\n" for key, value in entries.items())
    rows = [f"    {{{_row(kernel)}}},\n" for kernel in kernels]
    return f"{text}kernels = [\n{''.join(rows)}]\n" if rows else text


def _row(kernel: SeenKernel) -> str:
    return ", ".join(f"{key} = {_value(value)}" for key, value in _set(kernel))


def _set(kernel: SeenKernel) -> Iterator[tuple[str, Any]]:
    """What is not as it is by default."""
    for field in fields(kernel):
        value = getattr(kernel, field.name)
        if value != field.default:
            yield field.name, value


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(round(value, 3))
    return json.dumps(value)

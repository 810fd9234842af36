"""TensorRT's errors and warnings in plain words.

The parser reports failed assertions of its own source, the builder sentences wrapped in error
codes and source lines.  What is left here is the part that a person can act on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import onnx

from sparqc.base.toml_tables import tables
from sparqc.declared.element_types import UnreadType, unread_types
from sparqc.declared.targets import default_profile, profiles
from sparqc.tools.engine.onnx_source import OnnxSource
from sparqc.tools.engine.report import CompilerMessage

#: `In function at /source/file.cpp:12`, in the middle or at the end of a message.
_SOURCE = re.compile(r"\s*\bIn \S+(?: \S+)? at /_src/\S+?:\d+\.?")
_WRAPPED = re.compile(r"^\S+: Error Code \d+: [\w ]+ \((.*)\)$", re.S)
_LOCATION = re.compile(r"^\[[\w.:]+: \w+\] ")
_ASSERTION = re.compile(r"^Assertion failed: .*?: ", re.S)
_QUOTED = re.compile(r'&& "([^"]+)"')
#: What every call that looks for a GPU says on a machine without one.
_NOISE = re.compile(r"catchCudaError|^Invalid Node - |^In node -1 |^$")


@dataclass(frozen=True)
class KnownMessage:
    """A message that a person cannot act on as it stands: a table of `messages.toml`."""

    name: str
    #: Parts of what the parser says.
    phrases: tuple[str, ...]
    #: The sentence in its place.
    meaning: str


@cache
def known_messages() -> tuple[KnownMessage, ...]:
    """Those of all files `messages.toml`; SparqcError where one is broken."""
    return tuple(t.read_as(KnownMessage) for t in tables("messages.toml", "messages").values())


def plain(text: str) -> str:
    """The sentence in a message of TensorRT, without its source lines and error codes.

    >>> plain('Assertion failed: a == b: The sizes differ.')
    'The sizes differ.'
    """
    for known in known_messages():
        if any(phrase in text for phrase in known.phrases):
            return known.meaning
    lines = [_sentence(line.strip()) for line in text.splitlines() if not _NOISE.search(line)]
    return "; ".join(dict.fromkeys(line for line in lines if line)) or text.strip()


def _sentence(line: str) -> str:
    line = _SOURCE.sub("", line)
    while wrapped := _WRAPPED.match(line):
        line = wrapped[1]
    line = _LOCATION.sub("", line)
    if quoted := _QUOTED.search(line):
        return quoted[1]
    if line in ("false", "Assertion failed: false"):
        return "the compiler does not support this operator"
    return _ASSERTION.sub("", line).strip()


def type_errors(model: onnx.ModelProto, target: str) -> tuple[CompilerMessage, ...]:
    """What has an element type that the target does not read.

    The parser refuses it too, but writes a line of its own to the terminal when it does.
    """
    target_profile = profiles().get(target, default_profile())
    return tuple(map(_type_error, unread_types(model, target_profile)))


def _type_error(found: UnreadType) -> CompilerMessage:
    if found.node is None:
        text = f"{found.tensor!r} has type {found.type}, which the target does not read"
        return CompilerMessage(text)
    text = f"makes type {found.type}, which the target does not read"
    return CompilerMessage(text, found.node.name, found.node.op_type)


def parser_errors(parser: Any, source: OnnxSource) -> tuple[CompilerMessage, ...]:
    """What an ONNX parser found, each error with the node that it is about."""
    return tuple(_parser_error(parser.get_error(i), source) for i in range(parser.num_errors))


def _parser_error(error: Any, source: OnnxSource) -> CompilerMessage:
    node = source.known_as(error.node_name())
    detail = f"{error.desc()} ({error.file()}:{error.line()}, {error.func()})"
    message = plain(error.desc()).removeprefix(f"{error.node_name()}: ")
    return CompilerMessage(message, node, error.node_operator(), detail)


def builder_messages(texts: Iterable[str], source: OnnxSource) -> tuple[CompilerMessage, ...]:
    """What a builder logged, each message once, with the node that it names if it names one."""
    lines = list(dict.fromkeys(texts))
    telling = [t for t in lines if not _NOISE.search(t)] or lines
    nodes = {n.name: n.op_type for n in source.model.graph.node}
    return tuple(_builder_message(t, nodes, source) for t in telling)


def _builder_message(text: str, nodes: dict[str, str], source: OnnxSource) -> CompilerMessage:
    named = _named(text, sorted(nodes, key=len, reverse=True))
    return CompilerMessage(plain(text), source.known_as(named), nodes.get(named, ""), text)


def _named(text: str, nodes: Sequence[str]) -> str:
    """The node that a text names, as `name:` or in quotes."""
    return next((n for n in nodes if f" {n}: " in text or f"'{n}'" in text), "")

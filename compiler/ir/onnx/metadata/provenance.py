"""Where a node comes from, in the metadata of an ONNX node.

    sparqc.module = layer1.0.conv1
    sparqc.source = model.py:37
    sparqc.rules  = fold_batch_norm, conv_act

Nodes have metadata from version 10 of ONNX's IR on.  Whatever stands there was written by anybody:
it is shown and nothing else, and what is not one short line of text counts for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice

import onnx

from sparqc.ir.graph import Origin
from sparqc.ir.onnx.metadata.readable import is_text

#: The version of the IR that gave nodes metadata.
METADATA_IR = 10
KEYS = _MODULE, _SOURCE, _RULES = "sparqc.module", "sparqc.source", "sparqc.rules"
_SCOPES, _TRACE = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.stack_trace"

#: Longer texts are not read, and not written: no module path or name of a file is that long.
LONGEST = 200
#: So many rules of a node are read.
MOST_RULES = 32
#: What of another exporter's notes is looked at.
_LONGEST_TRACE = 1 << 16

_RULE = re.compile(r"[\w.-]{1,80}")
_FRAME = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d{1,9})')


def add_origin(node: onnx.NodeProto, origin: Origin) -> bool:
    """Write where a node comes from into its metadata; False where there is nothing to write.

    Of a rule only the name is written, and of the source only the file's own: neither may say where
    somebody keeps their files, nor make the model large.
    """
    names = dict.fromkeys(rule.rpartition(" ")[2] for rule in origin.rules)
    texts = {
        _MODULE: _line(origin.module),
        _SOURCE: _line(_without_folder(origin.source)),
        _RULES: ", ".join(islice(filter(_RULE.fullmatch, names), MOST_RULES)),
    }
    for key, text in texts.items():
        if text:
            node.metadata_props.add(key=key, value=text)
    return any(texts.values())


def origin_of(node: onnx.NodeProto) -> Origin:
    """Where a node comes from: as sparqc wrote it, or torch's exporter, else the node's name."""
    known = {p.key: p.value for p in node.metadata_props if is_text(p.key) and is_text(p.value)}
    if any(key in known for key in KEYS):
        return _own(known)
    if _SCOPES in known:
        return _exporters(known)
    return Origin("" if node.name in node.output else node.name)


def _own(known: Mapping[str, str]) -> Origin:
    rules = known.get(_RULES, "")[: MOST_RULES * 82].split(", ")
    return Origin(
        _line(known.get(_MODULE, "")),
        _line(_without_folder(known.get(_SOURCE, ""))),
        tuple(islice(filter(_RULE.fullmatch, rules), MOST_RULES)),
    )


def _exporters(known: Mapping[str, str]) -> Origin:
    """Module path and source line as torch's exporter notes them."""
    scopes = re.findall(r"'([^']*)'", known[_SCOPES][:_LONGEST_TRACE])
    frames = _FRAME.findall(known.get(_TRACE, "")[:_LONGEST_TRACE])
    own = [f"{_without_folder(file)}:{line}" for file, line in frames if "/torch/" not in file]
    return Origin(_line(scopes[-2]) if len(scopes) > 1 else "", _line(own[-1]) if own else "")


def _line(text: str) -> str:
    """The text where it is a line that may be shown, else ""."""
    return text if len(text) <= LONGEST and text.isprintable() else ""


def _without_folder(source: str) -> str:
    """`model.py:37` of `/home/me/model.py:37`, and of a path of Windows."""
    return re.split(r"[\\/]", source)[-1]


def modules_of(model: onnx.ModelProto) -> dict[str, str]:
    """The module of each node, by its name and by what it gives, where it is known."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        module = origin_of(node).module
        if module and module != node.name:
            found |= dict.fromkeys(_names(node), module)
    return found


def sources_of(model: onnx.ModelProto) -> dict[str, str]:
    """The line of source of each node, by its name and by what it gives, where it is known."""
    found: dict[str, str] = {}
    for node in model.graph.node:
        if source := origin_of(node).source:
            found |= dict.fromkeys(_names(node), source)
    return found


def _names(node: onnx.NodeProto) -> list[str]:
    return [name for name in (node.name, *node.output) if name]

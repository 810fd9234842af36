"""ONNX files of strange names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
from onnx import helper

from tests.hostile.suite.case import OF_ONNX, Case, onnx_cases
from tests.hostile.suite.kinds.networks import info, model, weight

NAMES = {
    "a newline": "a\nb",
    "a carriage return": "a\rb",
    "a zero byte": "a\0b",
    "an escape sequence": "\x1b[31mred\x1b[0m",
    "a bell": "\a\b",
    "spaces": "  a  b  ",
    "a space": " ",
    "quotes": "\"'`",
    "markup": "[red]a[/red]",
    "markup that closes nothing": "[/]",
    "a link": "[link=file:///etc/passwd]a[/link]",
    "a tag": "<script>alert(1)</script>",
    "braces": "{0} {name} {{",
    "percent": "%s %d %(x)s %",
    "backslashes": "a\\nb\\",
    "slashes": "../../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "a comma and a hash": "a, #b; c: d",
    "an arrow": "a -> b = c",
    "a number": "7",
    "none": "none",
    "const": "const",
    "umlauts": "größe_ß",
    "another script": "权重",
    "right to left": "\u202egnp.exe",
    "nothing to see": "\u200b\u200d\ufeff",
    "smileys": "🙂" * 50,
    "combining marks": "e" + "\u0301" * 500,
    "private use": "\ue000\U0010ffff",
    "5,000 letters": "n" * 5000,
    "a lambda": "__class__.__init__",
    "a name of ours": "x.qdq",
    "a codes name of ours": "w.codes",
}


def cases() -> Iterator[Case]:
    made = {title: _named(name) for title, name in NAMES.items()}
    dump = ("compile", "{file}", "--passes", "float", "--dump", "dump", "-o", "{out}")
    html = ("explain", "{file}", "--plan", "--verbose")
    why = ("check", "{file}", "--json")
    commands = [*OF_ONNX, html, why]
    yield from onnx_cases("names", made, commands=commands)
    yield from onnx_cases("names in dumps", made, commands=[dump])


def _named(name: str) -> Callable[[], onnx.ModelProto]:
    """A network in which everything has the name."""

    def make() -> onnx.ModelProto:
        x, w, y, z = (f"{name}{end}" for end in ("x", "w", "", "z"))
        nodes = [
            helper.make_node("Conv", [x, w], [y], name=name),
            helper.make_node("Relu", [y], [z], name=f"{name}r"),
        ]
        made = model(nodes, {w: weight()}, inputs=[info(x, shape=[name, 4, 8, 8])])
        made.graph.name = made.producer_name = made.doc_string = name
        made.metadata_props.add(key=name, value=name)
        return made

    return make

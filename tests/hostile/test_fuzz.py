"""Texts that nobody wrote: each is read, or refused by a sentence with its place.

What was found once lies in `corpus/` and is read again in every run.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparqc.errors import SparqcError
from sparqc.ir.text.parse import parse_graph, parse_statements
from sparqc.lang.parse.parser import parse_text
from sparqc.pipeline.run import parse as parse_pipeline

CORPUS = Path(__file__).with_name("corpus")
READERS: dict[str, list[Callable[[str], object]]] = {
    "dump": [parse_graph, parse_statements],
    "spq": [parse_text],
    "pipeline": [parse_pipeline],
}
#: Pieces that texts of these kinds are made of, and numbers that are hard.
_SHARED = ["0", "-1", "1e999", "1.5", "nan", "-inf", "9" * 40, '"', '"a"', '"\\u0000"', '"\\q"']
_SHARED += [*"()[]{},:=#%?.*\n \\", "\n    ", "\t", "é", "\0"]
PIECES = {
    "dump": [
        *("graph", "on", "onnx", "fx", "->", "x", "y", "const", "f32", "i64", "f32[2]", "?"),
        *("none", "return", "as", "nn.relu(x)", "nn.conv", "y = nn.add(x, 1)", "onnx.Foo"),
        *("x: f32[2, 3]\n", *_SHARED),
    ],
    "spq": [
        *("rule", "op", "fusion", "share", "check", "match:", "where:", "rewrite:", "example"),
        *("y = nn.relu(x)", "nn.conv(x, w: const)", "else", "on fx", "preserves exact", "maybe"),
        *("@f", *_SHARED),
    ],
    "pipeline": [
        *("fold", "place", "repeat", "cleanup", "default", "-prune", "+fold", "@after=fold"),
        *("calibrate", '{method="entropy"}', "seq", "export{opset=20}", *_SHARED),
    ],
}
GOOD = {
    "dump": "graph net on onnx 17 (x: f32[2, 3]) -> (y):\nw: const f32[3] = [1.0, 2.0, 3.0]\n"
    "y = nn.mul(x, w) : f32[2, 3]  # a.b model.py:3\nreturn y\n",
    "spq": 'rule r on fx, onnx preserves exact:\n    "A sentence."\n    match:\n'
    "        y = nn.relu(nn.relu(x))\n    rewrite:\n        y = nn.relu(x)\n",
    "pipeline": 'fold, prune{pattern="2:4"}, place, repeat(cleanup), export{opset=20}',
}


def read(kind: str, text: str) -> None:
    for reader in READERS[kind]:
        try:
            reader(text)
        except SparqcError as error:
            assert str(error).strip()


@st.composite
def spoiled(draw: st.DrawFn, kind: str) -> str:
    """A good text with pieces put in, taken out, and put twice."""
    text = GOOD[kind]
    for _ in range(draw(st.integers(1, 5))):
        at, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        piece = draw(st.sampled_from([*PIECES[kind], text[at:end] * 2]))
        text = text[:at] + piece + text[min(end, at + draw(st.integers(0, 12))) :]
    return text


@pytest.mark.parametrize("kind", READERS)
def test_good_texts_are_good(kind: str) -> None:
    READERS[kind][0](GOOD[kind])


@pytest.mark.parametrize("kind", READERS)
def test_texts_that_were_spoiled(kind: str) -> None:
    @settings(max_examples=150)
    @given(spoiled(kind))
    def check(text: str) -> None:
        read(kind, text)

    check()


@pytest.mark.parametrize("kind", READERS)
def test_texts_of_pieces(kind: str) -> None:
    @settings(max_examples=100)
    @given(st.lists(st.sampled_from(PIECES[kind]), max_size=25).map(" ".join))
    @example(" ".join(PIECES[kind]))
    def check(text: str) -> None:
        read(kind, text)

    check()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*.txt")), ids=lambda path: path.name)
def test_what_was_found_before(path: Path) -> None:
    read(path.parent.name, path.read_bytes().decode())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("dump", "y = " + "nn.relu(" * 5000 + "x" + ")" * 5000),
        ("dump", "y = nn.relu(x, " + "[" * 5000),
        ("spq", GOOD["spq"].replace("x))", "(" * 5000)),
        ("spq", "rule " + "r" * 5000 + " on fx:\n"),
        ("pipeline", "repeat(" * 5000 + "fold" + ")" * 5000),
        ("pipeline", "fold{x=" + "9" * 5000 + "}"),
        ("pipeline", "fold{x=" + "[" * 5000),
    ],
)
def test_depth_and_length(kind: str, text: str) -> None:
    with pytest.raises(SparqcError):
        READERS[kind][0](text)

"""The grammar of the dump text, and its syntax tree as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import lark

from sparqc.errors import PatternError, Span
from sparqc.ir.graph import Attribute, TensorType

GRAMMAR = r"""
start: _NL? _line*

header: "graph" name "on" word opsets "(" (input ("," input)*)? ")" "->" names ":" [COMMENT] _NL
opsets: (NUMBER ("," name NUMBER)*)?
input: name ":" type
names: "(" (name ("," name)*)? ")"

_line: header | (constant | declared | applied | returned) _NL | COMMENT _NL
constant: name ":" CONST type ["=" data] [COMMENT]
declared: name ":" type [COMMENT]
applied: targets "=" call types [COMMENT]
returned: "return" (result ("," result)*)? [COMMENT]

targets: name ("," name)*
types: (":" type ("," type)*)?
result: name ["as" name]

call: name "(" (_argument ("," _argument)*)? ")"
_argument: operand | keyword
keyword: name "=" (attribute | reference | references)
?reference: "%" name
references: "[" reference ("," reference)* "]"
?operand: name | absent | number | call | operands
operands: "[" (operand ("," operand)*)? "]"
absent: "none"

?attribute: literal | array
array: type "(" data ")"
data: HASH -> hash
    | literal
?literal: number | string | list | nothing | true | false
list: "[" (literal ("," literal)*)? "]"
nothing: "none"
true: "true"
false: "false"
number: NUMBER
string: STRING

type: dtype ["[" dimensions "]"]
dimensions: (dimension ("," dimension)*)?
?dtype: NAME -> unknown
    | unknown
?dimension: size | name | unknown
size: NUMBER
unknown: UNKNOWN
?word: name
name: NAME
    | CONST
    | STRING -> quoted

CONST: "const"
NAME: /[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*/
UNKNOWN: /\?[A-Za-z0-9_.]*/
NUMBER.2: /-?((inf|nan)(?![\w.])|\d+(\.\d*)?([eE][+-]?\d+)?(?!\w))/
STRING: /"([^"\\\n]|\\.)*"/
HASH: /#[0-9a-f]+/
COMMENT: /#[^\n]*/
_NL: /([ \t]*\r?\n)+/
%ignore /[ \t]+/
"""


@dataclass(frozen=True)
class Word:
    """A name in the text, and where it stands."""

    text: str
    line: int = field(compare=False)
    column: int = field(compare=False)
    width: int = field(compare=False)


@dataclass(frozen=True)
class Hash:
    """The content of a constant, known by its hash only."""

    digest: str


@dataclass(frozen=True)
class ArrayText:
    """A tensor as an attribute."""

    type: TensorType
    data: Hash | Attribute


@dataclass(frozen=True)
class Called:
    """An operator applied to operands, which may be calls themselves."""

    op: Word
    operands: tuple[Operand, ...]
    #: Operands of raw operators may stand by name, behind those by position.
    named: tuple[tuple[Word, Word | tuple[Word, ...]], ...]
    attributes: tuple[tuple[Word, Attribute | ArrayText], ...]


#: A value by name, an absent operand, a scalar constant, a nested call, or several values.
Operand = Word | None | int | float | Called | tuple[Any, ...]


@dataclass(frozen=True)
class ConstantLine:
    """`w: const f32[2] = [1.0, 2.0]`; `data` is None where the text has none."""

    name: Word
    type: TensorType
    data: Hash | Attribute
    has_data: bool


@dataclass(frozen=True)
class InputLine:
    """`x: f32[batch, 3]`."""

    name: Word
    type: TensorType


@dataclass(frozen=True)
class NodeLine:
    """`y = nn.relu(x) : f32[1]  # layer1`; without types these are to be inferred."""

    targets: tuple[Word, ...]
    call: Called
    types: tuple[TensorType, ...] | None
    comment: str


@dataclass(frozen=True)
class ReturnLine:
    """`return y as output`."""

    results: tuple[tuple[Word, str], ...]


Line = ConstantLine | InputLine | NodeLine | ReturnLine


@dataclass(frozen=True)
class Header:
    """The first line of a graph."""

    name: str
    level: Word
    opsets: dict[str, int]
    inputs: tuple[InputLine, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class GraphText:
    """A whole text: lines, under a header (there should be no second one) or not."""

    headers: tuple[Header, ...]
    lines: tuple[Line, ...]


class _Joined:
    """Drops line ends inside brackets, so that a long call may go over several lines."""

    always_accept = ("_NL",)

    def process(self, stream: Iterator[lark.Token]) -> Iterator[lark.Token]:
        depth = 0
        for token in stream:
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(str(token), 0)
            if token.type != "_NL" or depth <= 0:
                yield token


@lark.v_args(inline=True)
class _Reader(lark.Transformer[lark.Token, Any]):
    """Turns the syntax tree into the values above, bottom-up."""

    def start(self, *lines: Header | Line | lark.Token) -> GraphText:
        # What is left of a line with nothing but a comment is the comment's token.
        given = [x for x in lines if not isinstance(x, lark.Token)]
        headers = tuple(x for x in given if isinstance(x, Header))
        return GraphText(headers, tuple(x for x in given if not isinstance(x, Header)))

    def header(self, name: Word, level: Word, *rest: Any) -> Header:
        opsets, *inputs, outputs, _ = rest
        return Header(name.text, level, opsets, tuple(inputs), tuple(w.text for w in outputs))

    def opsets(self, *items: Any) -> dict[str, int]:
        if not items:
            return {}
        others = zip(items[1::2], items[2::2], strict=True)
        return {"": _version(items[0]), **{domain.text: _version(v) for domain, v in others}}

    def input(self, name: Word, type: TensorType) -> InputLine:
        return InputLine(name, type)

    def names(self, *names: Word) -> tuple[Word, ...]:
        return names

    def constant(
        self, name: Word, _: lark.Token, type: TensorType, data: Any, comment: Any
    ) -> ConstantLine:
        return ConstantLine(name, type, data[0] if data else None, data is not None)

    def declared(self, name: Word, type: TensorType, _: Any) -> InputLine:
        return InputLine(name, type)

    def applied(
        self, targets: Any, call: Called, types: Any, comment: lark.Token | None
    ) -> NodeLine:
        return NodeLine(targets, call, types, comment[1:] if comment else "")

    def returned(self, *results: Any) -> ReturnLine:
        return ReturnLine(tuple(results[:-1]))

    def targets(self, *names: Word) -> tuple[Word, ...]:
        return names

    def types(self, *types: TensorType) -> tuple[TensorType, ...] | None:
        return types or None

    def result(self, value: Word, name: Word | None) -> tuple[Word, str]:
        return value, (name or value).text

    def call(self, op: Word, *arguments: Any) -> Called:
        keywords = tuple(a for a in arguments if isinstance(a, _Keyword))
        operands = tuple(a for a in arguments if not isinstance(a, _Keyword))
        named = tuple((k.name, k.value) for k in keywords if k.is_operand)
        attributes = tuple((k.name, k.value) for k in keywords if not k.is_operand)
        return Called(op, operands, named, attributes)

    def keyword(self, name: Word, value: Any) -> _Keyword:
        return _Keyword(name, value)

    def operands(self, *items: Operand) -> tuple[Operand, ...]:
        return items

    def references(self, *names: Word) -> tuple[Word, ...]:
        return names

    def absent(self) -> None:
        return None

    def array(self, type: TensorType, data: Any) -> ArrayText:
        return ArrayText(type, data[0])

    def data(self, literal: Attribute) -> tuple[Attribute]:
        return (literal,)

    def hash(self, token: lark.Token) -> tuple[Hash]:
        return (Hash(token[1:]),)

    def list(self, *items: Attribute) -> tuple[Attribute, ...]:
        return items

    def nothing(self) -> None:
        return None

    def true(self) -> bool:
        return True

    def false(self) -> bool:
        return False

    def number(self, token: lark.Token) -> int | float:
        try:
            return int(token) if token.lstrip("-").isdigit() else float(token)
        except ValueError:
            raise _Mistake(token, "a number of so many digits") from None

    def string(self, token: lark.Token) -> str:
        return _quoted(token)

    def type(self, dtype: str, shape: Any) -> TensorType:
        return TensorType(dtype, shape)

    def dimensions(self, *dimensions: Any) -> tuple[int | str, ...]:
        return tuple(d if isinstance(d, int | str) else d.text for d in dimensions)

    def size(self, token: lark.Token) -> int:
        if not token.isdigit() or len(token) > len(str(_LARGEST_SIZE)):
            raise _Mistake(token, "a dimension is a whole number, a name, or a name in quotes")
        return int(token)

    def unknown(self, token: lark.Token) -> str:
        return str(token)

    def name(self, token: lark.Token) -> Word:
        return Word(str(token), token.line or 1, token.column or 1, len(token))

    def quoted(self, token: lark.Token) -> Word:
        return Word(_quoted(token), token.line or 1, token.column or 1, len(token))


@dataclass(frozen=True)
class _Keyword:
    name: Word
    value: Any

    @property
    def is_operand(self) -> bool:
        items = self.value if isinstance(self.value, tuple) and self.value else (self.value,)
        return isinstance(items[0], Word)


class _Mistake(Exception):
    """A word that fits the grammar and still means nothing."""

    def __init__(self, token: lark.Token, message: str) -> None:
        super().__init__(message)
        self.token, self.message = token, message


#: Versions of operator sets are C integers in onnx, sizes 64-bit integers.
_LARGEST_VERSION, _LARGEST_SIZE = 2**31 - 1, 2**63 - 1


def _version(token: lark.Token) -> int:
    if not (token.isdigit() and len(token) <= 10 and int(token) <= _LARGEST_VERSION):
        raise _Mistake(token, "the version of an operator set is a whole number, such as 17")
    return int(token)


def _quoted(token: lark.Token) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        raise _Mistake(token, "this text in quotes has an escape that JSON does not know") from None


@cache
def _parser() -> lark.Lark:
    return lark.Lark(
        GRAMMAR, parser="lalr", postlex=_Joined(), transformer=_Reader(), maybe_placeholders=True
    )


def parse_text(text: str, file: str) -> GraphText:
    """The syntax tree of a dump or of statements; PatternError where it is not one."""
    try:
        # The cast is lark's: with a transformer `parse` returns what that makes of `start`.
        return _parser().parse(text.rstrip() + "\n")  # type: ignore[return-value]
    except lark.UnexpectedInput as error:
        raise _explained(error, text, file) from None
    except _Mistake as mistake:
        word = mistake.token
        span = span_of(text, file, word.line or 1, word.column or 1, len(word))
        raise PatternError(mistake.message, span=span) from None


def span_of(text: str, file: str, line: int, column: int, width: int = 1) -> Span:
    """The span, with the text of its line for the caret."""
    lines = text.splitlines()
    return Span(file, line, column, width, lines[line - 1] if 0 < line <= len(lines) else "")


def _explained(error: lark.UnexpectedInput, text: str, file: str) -> PatternError:
    if isinstance(error, lark.UnexpectedToken):
        found = "the end of the line" if error.token.type in ("_NL", "$END") else f"{error.token}"
        span = span_of(text, file, error.line, error.column, len(error.token.rstrip()) or 1)
        expected = sorted({_SPOKEN.get(t, t) for t in error.accepts or error.expected})
        return PatternError(
            f"{found!r} does not belong here" if found[:3] != "the" else f"{found} is too early",
            span=span,
            hint=f"expected {' or '.join(expected)}",
        )
    span = span_of(text, file, error.line, error.column)
    return PatternError("this character does not belong here", span=span)


_SPOKEN = {
    "NAME": "a name", "STRING": "a quoted name", "NUMBER": "a number", "HASH": "#hash",
    "UNKNOWN": "?", "COMMENT": "a comment", "_NL": "the end of the line", "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['", "RSQB": "']'", "COMMA": "','", "COLON": "':'", "EQUAL": "'='", "NONE": "none",
    "TRUE": "true", "FALSE": "false", "CONST": "const", "RETURN": "return", "GRAPH": "graph",
    "ON": "on", "AS": "as", "$END": "the end",
}  # fmt: skip

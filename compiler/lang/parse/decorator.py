"""Rules from Python: the same value that a pattern file gives.

    @rule(on=("onnx",), preserves="exact")
    def drop_double_neg(p: RuleBuilder) -> None:
        "Two negations are none."
        p.match("y = nn.neg(nn.neg(x))")
        p.rewrite("y = x")

The lines are those of the language, so there is one notation to learn; what Python adds is names
that are computed, and loops.  Where that is still too little, the builder takes the values of
`sparqc.lang.ast` instead of text.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

from sparqc.errors import Span
from sparqc.ir.types import Level
from sparqc.lang.ast import (
    Condition,
    Example,
    Expr,
    MatchStatement,
    RewriteStatement,
    RuleDecl,
)
from sparqc.lang.parse.builder import Header
from sparqc.lang.parse.declare import Parts, check_header, declare
from sparqc.lang.parse.grammar import read, read_expr
from sparqc.lang.parse.keywords import LEVELS
from sparqc.lang.parse.source import Source
from sparqc.lang.parse.strings import quote, read_template


class RuleBuilder:
    """What a decorated function fills in; every method adds to its block.

    Text raises PatternError where it is wrong; the error points at the function.
    """

    def __init__(self, file: str = "<python>", line: int = 1) -> None:
        self._file, self._line = file, line
        self._parts = Parts()

    def match(self, *statements: str | MatchStatement) -> None:
        """Statements of the match block: `y = nn.relu(x)`."""
        self._parts.match += [self._read("statement", s) for s in statements]

    def where(self, condition: str | Expr, reason: str | None = None) -> None:
        """A condition, and what is said where it does not hold."""
        expr: Expr = self._read("expr", condition)
        template = None
        if reason is not None:
            template = read_template(self._source(quote(reason)), read_expr)
        self._parts.where.append(Condition(expr, template, expr.span))

    def rewrite(self, *statements: str | RewriteStatement) -> None:
        """Statements of the rewrite block: `y = x`."""
        self._parts.rewrite += [self._read("rewrite", s) for s in statements]

    def example(self, before: str, *, after: str | None = None, rejects: str | None = None) -> None:
        """Statements of dump text, and what becomes of them, or why the rule refuses them."""
        texts = [inspect.cleandoc(t) if t is not None else None for t in (before, after)]
        self._parts.examples.append(Example(texts[0] or "", texts[1], rejects))

    def source(self, text: str) -> None:
        """The reference that the rule rests on."""
        self._parts.source = text

    def build(self, header: Header, doc: str) -> RuleDecl:
        """The rule; raises PatternError where a part is missing."""
        check_header(header)
        self._parts.doc = doc
        declaration = declare(header, self._parts)
        assert isinstance(declaration, RuleDecl)
        return declaration

    def _source(self, text: str) -> Source:
        return Source.of(text, self._file, self._line)

    def _read(self, start: str, line: Any) -> Any:
        return read(start, self._source(line.strip())) if isinstance(line, str) else line


def rule(
    name: str | None = None,
    *,
    on: Sequence[Level] = LEVELS,
    target: str | None = None,
    preserves: Literal["exact", "close", "lossy"] = "exact",
    decreases: str | None = None,
) -> Callable[[Callable[[RuleBuilder], None]], RuleDecl]:
    """Make a rule of a function that fills in a `RuleBuilder`; its docstring is the rule's.

    Without a name the rule has the function's.  Raises PatternError for a rule that no pattern file
    could hold.  `RuleBook.add` takes the result, and so does a `PatternFile`.
    """

    def decorate(function: Callable[[RuleBuilder], None]) -> RuleDecl:
        code = function.__code__
        span = Span(code.co_filename, code.co_firstlineno, 1)
        words = {"on": on, "preserves": [preserves], "for": [target], "decreases": [decreases]}
        builder = RuleBuilder(code.co_filename, code.co_firstlineno)
        function(builder)
        clauses = {
            word: (tuple(filter(None, given)), span) for word, given in words.items() if any(given)
        }
        header = Header("rule", name or function.__name__, span, clauses=clauses)
        return builder.build(header, " ".join((function.__doc__ or "").split()))

    return decorate

"""What an example of a declaration comes to: that it holds, or why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sparqc.declared.targets import Profile, default_profile, profiles
from sparqc.errors import SparqcError
from sparqc.ir.graph import Graph
from sparqc.ir.text.parse import parse_statements
from sparqc.ir.types import Level
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.ast import (
    Binary,
    CheckDecl,
    Declaration,
    Example,
    Field,
    Literal,
    Name,
    PatternFile,
    RuleDecl,
)
from sparqc.lang.parse.keywords import KNOB
from sparqc.match.evaluate import render
from sparqc.match.match import Match, Matcher
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.action import Action
from sparqc.pipeline.drift import drift_of
from sparqc.pipeline.installed import installed
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite
from sparqc.tools.rules.examples.alike import difference
from sparqc.tools.rules.examples.numbers import outputs, samples

#: So many reasons are told where none of them is the expected one.
_TOLD = 3


@dataclass(frozen=True)
class ExampleResult:
    """One example on some levels; `fault` says in what it does not hold, "" where it holds."""

    declaration: Declaration
    example: Example
    levels: tuple[Level, ...]
    fault: str = ""
    #: The rewrite promises numbers, and they could not be compared: an input has no type.
    unmeasured: bool = False

    @property
    def error(self) -> SparqcError:
        """The fault with its place, for people."""
        what = f"{self.declaration.name} on {', '.join(self.levels)}: {self.fault}"
        span = self.example.span
        # Without its text: a caret below the word `example` shows nothing.
        return SparqcError(what, span=replace(span, text="") if span else None)


def run_examples(file: PatternFile) -> Iterator[ExampleResult]:
    """Every example of a file on each level that its declaration is for, in order; levels with the
    same result share it.

    The other declarations that rules may use are those of the installed files.
    """
    for declaration in file.declarations:
        for example in declaration.examples:
            found: dict[ExampleResult, ExampleResult] = {}
            for level in declaration.levels:
                result = run_example(declaration, example, level, book_of(file))
                alike = replace(result, levels=())
                levels = found[alike].levels if alike in found else ()
                found[alike] = replace(result, levels=(*levels, level))
            yield from found.values()


def run_example(
    declaration: Declaration, example: Example, level: Level, book: RuleBook
) -> ExampleResult:
    """What one example comes to on one level.  Knobs of the book are turned as the declaration's
    conditions ask."""
    case = _Case(declaration, example, level, book)
    try:
        fault = case.fault()
    except SparqcError as error:  # its text is no graph, a native fails, the graph does not run
        fault = str(error)
    return ExampleResult(declaration, example, (level,), fault, case.unmeasured)


def book_of(file: PatternFile) -> RuleBook:
    """The installed declarations, and those of a file, which may be an installed one."""
    book = RuleBook(table=default_table())
    for known in installed():
        if known.path != file.path and known.declarations != file.declarations:
            book.add_file(known)
    book.add_file(file)
    return book


class _Case:
    def __init__(
        self, declaration: Declaration, example: Example, level: Level, book: RuleBook
    ) -> None:
        self.declaration, self.example, self.level = declaration, example, level
        for name, value in wanted_knobs(declaration):
            book.turn(name, value)
        self.table, target = book.table, target_for(declaration)
        self.context = Context(self.table, book, target, Action())
        self.matcher = Matcher(book, self.table, target.name)
        self.unmeasured = False

    def fault(self) -> str:
        """In what the example does not hold, "" where it does."""
        if self.example.rejects is not None:
            return self._rejected(self.example.rejects)
        if isinstance(self.declaration, RuleDecl):
            return self._rewritten(self.declaration)
        return self._found()

    def _rejected(self, reason: str) -> str:
        graph = self._graph("before", self.example.before)
        if any(self.matcher.first(self.declaration, node) for node in graph.nodes):
            return "it matches, and the example says that it is rejected"
        reasons = self._reasons(graph)
        if any(reason in other for other in reasons):
            return ""
        return f"it is rejected, but not for the reason {reason!r}{_listed(reasons)}"

    def _rewritten(self, rule: RuleDecl) -> str:
        graph = self._graph("before", self.example.before)
        batches = samples(graph) if rule.preserves != "lossy" else []
        self.unmeasured = batches is None
        before = outputs(graph, self.table, batches) if batches else []
        if not rewrite(graph, [rule], self.context):
            return f"it does not fire in its own example{_listed(self._reasons(graph))}"
        graph.verify()
        if self.example.after is not None:
            wanted = self._graph("after", self.example.after)
            if differs := difference(graph, wanted, self.table):
                return f"it gives another graph than `after`\n{differs}"
        if batches:
            names = graph.output_names * len(batches)
            drift = drift_of(before, outputs(graph, self.table, batches), names, graph)
            if not drift.keeps(rule.preserves):
                return (
                    f"it promises {rule.preserves} results, but on random inputs the output "
                    f"{drift.worst!r} moves: {drift}"
                )
        return ""

    def _found(self) -> str:
        """A match in `before` and none in `after`; a check says there what `finds` quotes."""
        graph = self._graph("before", self.example.before)
        found = [m for node in graph.nodes if (m := self.matcher.first(self.declaration, node))]
        if not found:
            return f"it does not match in its own example{_listed(self._reasons(graph))}"
        if isinstance(self.declaration, CheckDecl) and self.example.finds is not None:
            said = self._said(self.declaration, found)
            if not any(self.example.finds in message for message in said):
                return f"it does not say {self.example.finds!r}{_listed(said)}"
        if self.example.after is None:
            return ""
        healthy = self._graph("after", self.example.after)
        if any(self.matcher.first(self.declaration, node) for node in healthy.nodes):
            return "it matches in `after` too"
        cure = self.declaration.repair if isinstance(self.declaration, CheckDecl) else None
        return self._rewritten(cure) if cure is not None else ""

    def _said(self, check: CheckDecl, found: list[Match]) -> list[str]:
        return [render(check.message, match, self.matcher) for match in found]

    def _graph(self, part: str, text: str) -> Graph:
        span = self.example.span
        where = f"`{part}` of the example" + (f" at {span}" if span else "")
        graph = parse_statements(text, self.table, self.level, file=where)
        graph.drop_dead()
        return graph

    def _reasons(self, graph: Graph) -> list[str]:
        """Why it does not match, the nearest misses first."""
        misses = [m for n in graph.nodes if (m := self.matcher.explain(self.declaration, n))]
        misses.sort(key=lambda miss: -miss.progress)
        return list(dict.fromkeys(miss.reason for miss in misses))


def _listed(reasons: list[str]) -> str:
    return "".join(f"\n    {reason}" for reason in reasons[:_TOLD])


def target_for(declaration: Declaration) -> Profile:
    """A target that the declaration is for: the default one where it is."""
    known = [default_profile(), *profiles().values()]
    fitting = [target for target in known if declaration.is_for(None, target.name)]
    if not fitting:
        raise SparqcError(
            f"{declaration.name} is for {declaration.target}, and no target has such a name",
            span=declaration.span,
            hint="a target is a table in the profiles.toml of a plug-in package: `sparqc targets`",
        )
    return fitting[0]


def wanted_knobs(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """Each knob that a condition asks to have a certain word: an example is about that case."""
    for condition in declaration.where:
        match condition.expr:
            case Binary("==", Field(Name(of), name), Literal(str(value))) if of == KNOB:
                yield name, value

"""Passes made from pattern files: a file of rules is a pass of the file's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from sparqc.ir.graph import Graph
from sparqc.lang.ast import PatternFile, RuleDecl
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.unfired import note_unfired
from sparqc.rewrite.context import Context
from sparqc.rewrite.worklist import rewrite

_WEAKEST = ("exact", "close", "lossy")


@dataclass(frozen=True)
class RulePass(Pass):
    """Apply the rules of one pattern file until none of them matches any more."""

    #: The names of the rules, and the file they stand in.
    rules: ClassVar[tuple[str, ...]]
    file: ClassVar[str]
    #: Whether it is a file that a person names, so that they are told what did not fire.
    is_own: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> int:
        """Rewrite to a fixed point; returns the number of rule applications."""
        here = [r for r in context.rules.rules(graph.level, context.target.name)
                if r.name in self.rules]  # fmt: skip
        counts = context.action.counts
        before = Counter(counts)
        applied = rewrite(graph, here, context)
        if self.is_own:
            fired = {r.name for r in here if counts[r.name] > before[r.name]}
            note_unfired(here, fired, graph, context)
        return applied


def rule_pass(file: PatternFile, name: str, *, is_own: bool = False) -> type[RulePass] | None:
    """The pass of a pattern file's rules, None where it holds no rule.

    The file's own description is the help text.  The pass promises what its weakest rule does.
    """
    rules = [d for d in file.declarations if isinstance(d, RuleDecl)]
    if not rules:
        return None
    weakest: Literal["exact", "close", "lossy"] = max(
        (r.preserves for r in rules), key=_WEAKEST.index
    )
    body = {
        "__doc__": file.doc or f"The rules of {file.path}.",
        "__module__": __name__,
        "name": name,
        "level": _level(rules),
        "preserves": weakest,
        "rules": tuple(r.name for r in rules),
        "file": file.path,
        "is_own": is_own,
    }
    title = "".join(word.capitalize() for word in name.split("-"))
    return dataclass(frozen=True)(type(title, (RulePass,), body))


def _level(rules: Sequence[RuleDecl]) -> Literal["fx", "onnx", "any"]:
    """The one level that all rules are for, else any."""
    levels = {level for rule in rules for level in rule.levels}
    return levels.pop() if len(levels) == 1 else "any"

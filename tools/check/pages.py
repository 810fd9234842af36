"""The pages of docs/checks: one for each check that ships, and the rules that they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sparqc.base.toml_tables import tables
from sparqc.lang.ast import CheckDecl, Example
from sparqc.lang.format.formatter import format_declaration
from sparqc.passes.check.check import fix_of
from sparqc.passes.check.file_checks import file_checks
from sparqc.passes.difference.kinds import GENERAL
from sparqc.passes.difference.named_lines import named_lines
from sparqc.pipeline.installed import installed
from sparqc.tools.reference.markdown import cell, code, generated
from sparqc.tools.terminal.text_file import write_text

_GRADES = {
    "error": "the target refuses the file, or does not run it as it is meant",
    "slow": "the target converts, or runs in float, what could be INT8 or 2:4",
    "note": "worth knowing",
    "priced": "slow or a note, by what all findings of this name cost of the engine's time",
}
_FIXES = {
    "": "No: it needs a decision or new calibration.",
    "exact": "Yes; every number stays what it is, to the bit.",
    "close": "Yes; numbers stay the same up to rounding.",
    "lossy": "Yes; a value moves by a quantization step at most, unless it was clipped before.",
}
#: What cures a difference to the plan.
PLAN = (
    "Let the plan be written: `sparqc check --fix` does where ranges are known, `sparqc compile "
    "FILE --passes int8` measures the others"
)
_GENERATED = generated("sparqc rules docs")


@dataclass(frozen=True)
class CheckPage:
    """What a page says of one check."""

    id: str
    grade: str
    doc: str
    message: str
    cure: str
    source: str
    target: str
    fix: str
    examples: tuple[Example, ...] = ()
    text: str = ""

    def markdown(self) -> str:
        """The page."""
        return "\n\n".join([_GENERATED, f"# {self.id}", *self._sections()]) + "\n"

    def _sections(self) -> Iterator[str]:
        yield f"**{self.grade}**: {_GRADES[self.grade]}. {self._held_for()}"
        yield f"## What it finds\n\n{self.doc}"
        yield "\n>\n".join(f"> {line}" for line in self.message.split("\n"))
        for example in self.examples:
            yield f"## Example\n\nThis is found:\n\n{code(example.before)}"
            yield f"This is not:\n\n{code(example.after or '')}"
        yield f"## What to do\n\n{sentence(self.cure)}"
        yield f"Does `sparqc check --fix` do it? {_FIXES[self.fix]}"
        yield f"## Source\n\n{_linked(self.source)}"
        if self.text:
            yield f"## The check\n\n{code(self.text, 'spq')}"

    def _held_for(self) -> str:
        return f"Held for targets that begin with `{self.target}`." if self.target else ""


@dataclass(frozen=True)
class GuideRule:
    """A rule of tensorrt.md, and what of it no check can see."""

    name: str
    title: str
    unseen: str = ""


def write_pages(folder: Path) -> list[Path]:
    """Write every page, and take away those of checks that are gone; returns the files.

    Raises SparqcError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, text in made.items():
        write_text(folder / name, text)
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    return [folder / name for name in made]


def pages() -> Mapping[str, str]:
    """The text of every page by its file's name, of all checks that are installed."""
    known = check_pages()
    return {"README.md": _index(known), **{f"{p.id}.md": p.markdown() for p in known}}


def check_pages() -> list[CheckPage]:
    """What there is to say of each check, in the order of their ids."""
    found = [*_of_patterns(), *_of_files(), *_of_placement()]
    return sorted(found, key=lambda page: page.id)


def guide_rules() -> list[GuideRule]:
    """The rules of the guide, in their order."""
    found = [table.read_as(GuideRule) for table in tables("rules.toml", "rules").values()]
    return sorted(found, key=lambda rule: [int(n) for n in re.findall(r"\d+", rule.name)])


def cited(source: str) -> set[str]:
    """The rules that a source names: "tensorrt.md §3.2, §3.12" names two."""
    return set(re.findall(r"§\d+(?:\.\d+)?", source))


def _of_patterns() -> Iterator[CheckPage]:
    for check in (d for f in installed() for d in f.declarations if isinstance(d, CheckDecl)):
        yield CheckPage(
            id=check.name.replace("_", "-"),
            grade=check.grade,
            doc=check.doc,
            message=check.message.text,
            cure=check.cure.text if check.cure else "",
            source=check.source,
            target=check.target or "",
            fix=fix_of(check),
            examples=tuple(e for e in check.examples if e.after is not None)[:1],
            text=_without_examples(check),
        )


def _of_files() -> Iterator[CheckPage]:
    for check in file_checks().values():
        yield CheckPage(
            check.name, check.grade, check.doc, check.message, check.cure, check.source,
            check.target, check.fixed,
        )  # fmt: skip


def _of_placement() -> Iterator[CheckPage]:
    """The differences to the plan: those that lines of fusions and shares name, and the others."""
    lines = named_lines(installed())
    for id, said in lines.items():
        declarations = list({d.name: d for d, _ in said}.values())
        rules = sorted(set[str]().union(*(cited(d.source) for d in declarations)))
        yield CheckPage(
            id=id,
            grade="priced",
            doc=declarations[0].doc,
            message="\n".join(dict.fromkeys(reason.text for _, reason in said)),
            cure=PLAN,
            source=f"tensorrt.md {', '.join(rules)}" if rules else declarations[0].source,
            target="",
            fix="lossy",
            text="\n\n".join(format_declaration(d) for d in declarations),
        )
    for kind in GENERAL:
        yield CheckPage(kind.id, "priced", kind.doc, kind.doc, PLAN, kind.source, "", "lossy")


def _without_examples(check: CheckDecl) -> str:
    return format_declaration(check).partition("\n    example:")[0]


def _index(known: list[CheckPage]) -> str:
    checks = [f"| [{p.id}]({p.id}.md) | {p.grade} | {_yes(p.fix)} | {cell(p.doc)} |" for p in known]
    rules = [_rule_row(rule, known) for rule in guide_rules()]
    return "\n".join([
        _GENERATED, "", "# Checks", "",
        "What `sparqc check FILE.onnx` finds. *fix*: what `--fix` keeps of the numbers.", "",
        "| check | grade | fix | what it finds |", "|---|---|---|---|", *checks, "",
        "## The rules behind them", "",
        "Each rule of [tensorrt.md](../tensorrt.md), the checks that hold it, and what of it a "
        "graph does not show.", "",
        "| rule | checks | not seen in a graph |", "|---|---|---|", *rules, "",
    ])  # fmt: skip


def _rule_row(rule: GuideRule, known: list[CheckPage]) -> str:
    held = ", ".join(f"[{p.id}]({p.id}.md)" for p in known if rule.name in cited(p.source))
    return f"| {rule.name} {cell(rule.title)} | {held} | {cell(rule.unseen)} |"


def _yes(fix: str) -> str:
    return fix or ""


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _linked(source: str) -> str:
    return source.replace("tensorrt.md", "[tensorrt.md](../tensorrt.md)")

"""Values of the language server protocol from those of sparqc.

The protocol counts from 0, and columns in code units, of UTF-16 unless an editor asks for others.
"""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types as lsp
from pygls.workspace import PositionCodec

from sparqc.errors import Fix, PatternError, Span, SparqcError
from sparqc.lang.check.findings import PatternWarning

#: What a completion's list shows beside a word.
KINDS = {
    "operator": lsp.CompletionItemKind.Function,
    "family": lsp.CompletionItemKind.Class,
    "native": lsp.CompletionItemKind.Method,
    "name": lsp.CompletionItemKind.Variable,
    "field": lsp.CompletionItemKind.Property,
    "attribute": lsp.CompletionItemKind.Field,
    "knob": lsp.CompletionItemKind.Constant,
    "keyword": lsp.CompletionItemKind.Keyword,
    "declared": lsp.CompletionItemKind.Reference,
}


class Positions:
    """The places of one text, in an editor's units."""

    def __init__(self, text: str, codec: PositionCodec) -> None:
        self.lines, self.codec = lines_of(text), codec

    def given(self, position: lsp.Position) -> tuple[int, int]:
        """The 0-based line and column that an editor means; the nearest where there is none."""
        if position.line >= len(self.lines):
            return len(self.lines) - 1, len(self.lines[-1])
        line, units = self.lines[position.line], 0
        for column, letter in enumerate(line):
            if units >= position.character:
                return position.line, column
            units += self.codec.client_num_units(letter)
        return position.line, len(line)

    def position(self, line: int, column: int) -> lsp.Position:
        """A 0-based line and column as an editor counts them."""
        text = self.lines[line] if line < len(self.lines) else ""
        return lsp.Position(line, self.codec.client_num_units(text[:column]))

    def stretch(self, line: int, column: int, width: int) -> lsp.Range:
        """Some letters of a line."""
        return lsp.Range(self.position(line, column), self.position(line, column + width))

    def of(self, span: Span | None) -> lsp.Range:
        """The place of a span; the beginning of the text without one."""
        if span is None:
            return self.stretch(0, 0, 0)
        return self.stretch(span.line - 1, span.column - 1, span.width)

    @property
    def whole(self) -> lsp.Range:
        """All of the text."""
        last = len(self.lines) - 1
        return lsp.Range(lsp.Position(0, 0), self.position(last, len(self.lines[last])))

    def diagnostic(self, finding: SparqcError) -> lsp.Diagnostic:
        """A finding, with its hint."""
        is_warning = isinstance(finding, PatternWarning)
        severity = lsp.DiagnosticSeverity.Warning if is_warning else lsp.DiagnosticSeverity.Error
        message = "\n".join(filter(None, (finding.message, finding.hint)))
        return lsp.Diagnostic(self.of(finding.span), message, severity, source="sparqc")

    def edit(self, fix: Fix) -> lsp.TextEdit:
        """What a fix writes."""
        return lsp.TextEdit(self.of(fix.span), fix.text)


def lines_of(text: str) -> Sequence[str]:
    """The lines of a text as the parser counts them."""
    return text.replace("\r\n", "\n").split("\n")


def actions(
    uri: str, positions: Positions, findings: Sequence[SparqcError], asked: lsp.Range
) -> list[lsp.CodeAction]:
    """The fixes of what is found in a stretch of a text, each as an edit that an editor offers."""
    found = []
    for finding in findings:
        place = positions.of(finding.span)
        if not isinstance(finding, PatternError) or not _meet(place, asked):
            continue
        for fix in finding.fixes:
            found.append(
                lsp.CodeAction(
                    title=_title(fix),
                    kind=lsp.CodeActionKind.QuickFix,
                    diagnostics=[positions.diagnostic(finding)],
                    edit=lsp.WorkspaceEdit(changes={uri: [positions.edit(fix)]}),
                    is_preferred=len(finding.fixes) == 1,
                )
            )
    return found


def _title(fix: Fix) -> str:
    start = fix.span.column - 1
    word = fix.span.text[start : start + fix.span.width]
    if not fix.text:
        return f"remove `{word}`"
    return f"write `{fix.text.strip()}` instead of `{word}`" if word else f"add `{fix.text}`"


def _meet(one: lsp.Range, other: lsp.Range) -> bool:
    """Whether two stretches have a place in common, be it an end."""
    return _order(one.start) <= _order(other.end) and _order(other.start) <= _order(one.end)


def _order(position: lsp.Position) -> tuple[int, int]:
    return position.line, position.character

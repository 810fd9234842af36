"""What the formatter writes, the parser reads back; formatting twice changes nothing."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.lang.ast import Declaration, Expr, PatternFile
from sparqc.lang.format.formatter import format_declaration, format_file
from sparqc.lang.format.printer import format_expr
from sparqc.lang.parse.grammar import read_expr
from sparqc.lang.parse.layout import read_layout
from sparqc.lang.parse.parser import parse_text
from sparqc.lang.parse.source import Source
from tests.lang.declaration_strategies import declarations, expressions, files, no_examples


@given(expressions)
def test_an_expression_reads_back(expr: Expr) -> None:
    assert read_expr(Source.of(format_expr(expr), "<string>")) == expr


@given(declarations())
def test_a_declaration_reads_back(declaration: Declaration) -> None:
    assert parse_text(format_declaration(declaration)).declarations == (declaration,)


@settings(max_examples=50)
@given(files())
def test_a_file_reads_back_and_is_stable(file: PatternFile) -> None:
    text = format_file(file)
    assert parse_text(text) == file
    assert format_file(parse_text(text)) == text


@settings(max_examples=50)
@given(files(no_examples), st.data())
def test_comments_anywhere_are_kept_and_change_nothing(file: PatternFile, data: st.DataObject):
    lines = format_file(file).split("\n")
    for number in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines)))
        if at < len(lines) and data.draw(st.booleans()):
            lines[at] += f"  #{number}"
        else:
            lines.insert(at, f"{' ' * data.draw(st.integers(0, 13))}#{number}")
    text = "\n".join(lines)
    formatted = format_file(parse_text(text))
    assert parse_text(formatted) == file
    assert format_file(parse_text(formatted)) == formatted
    found = Counter(c.text for c in read_layout(formatted, "").comments)
    assert found == Counter(c.text for c in read_layout(text, "").comments)

"""Whatever happens to a text, the language answers with its own errors, and each has a place."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.errors import ErrorGroup, PatternError, UsageError
from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_file, parse_text
from tests.lang.findings_of import findings

PASS = Path(__file__).parent / "pass"
TEXTS = [path.read_text() for path in sorted(PASS.glob("*.spq"))]
PIECES = [
    "(", ")", "[", "]", "{", "}", '"', "#", ":", ",", "=", "==", "?", "*", "...", "@", "\t", "\n",
    "    ", "-", "\\", "'", "none", "maybe", "like", "else", "match:", "before:", "rule", "é", "\0",
]  # fmt: skip


@st.composite
def broken_texts(draw: st.DrawFn) -> str:
    """A good text of which some pieces were cut out, doubled, swapped or put elsewhere."""
    text = draw(st.sampled_from(TEXTS))
    start = draw(st.integers(0, len(text) - 1))
    text = text[start : start + draw(st.integers(1, 900))] if draw(st.booleans()) else text
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 30)))
        middle = draw(st.sampled_from(["", text[at:end] * 2, *PIECES]))
        text = text[:at] + middle + text[end if draw(st.booleans()) else at :]
    return text


@settings(max_examples=200)
@given(broken_texts())
def test_a_broken_text_gives_errors_with_places(text: str) -> None:
    for finding in findings(text, "mine.spq"):
        assert finding.message
        assert finding.span is not None
        assert finding.span.file == "mine.spq"
        assert 1 <= finding.span.line <= text.count("\n") + 1


@settings(max_examples=60)
@given(broken_texts())
def test_what_still_parses_still_formats(text: str) -> None:
    try:
        file = parse_text(text)
    except (PatternError, ErrorGroup):
        return
    assert parse_text(format_file(parse_text(text))) == file


def test_an_empty_text_is_a_file_without_declarations() -> None:
    assert parse_text("").declarations == ()
    assert format_file(parse_text("# a comment")) == "# a comment\n"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*missing\.spq: No such file"):
        parse_file(tmp_path / "missing.spq")
    (tmp_path / "binary.spq").write_bytes(b"rule \xff\xfe:")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        parse_file(tmp_path / "binary.spq")


def test_line_ends_of_windows_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "windows.spq"
    text = TEXTS[0].replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert parse_file(path).declarations == parse_text(TEXTS[0]).declarations
    assert parse_text(text) == parse_text(TEXTS[0])


def test_an_error_shows_file_line_caret_and_what_was_meant() -> None:
    text = "\n".join(["op negated(x):", "    y = nn.cnov(x, ...)"])
    assert str(findings(text, "mine.spq")[0]).splitlines() == [
        "mine.spq:2:9: unknown operator 'nn.cnov'",
        "      y = nn.cnov(x, ...)",
        "          ^^^^^^^",
        "  did you mean 'nn.conv' or 'nn.concat' or 'nn.neg'?",
    ]


def test_of_a_file_of_another_kind_the_first_errors_are_shown():
    text = "".join(f"line {number} of some prose\n" for number in range(300))
    with pytest.raises(ErrorGroup) as caught:
        parse_text(text, "README.md")
    shown = str(caught.value).splitlines()
    assert len(caught.value.errors) == 300 and shown[-1] == "and 280 more"
    assert shown[0] == "README.md:1:1: 'line' begins no declaration"
    assert sum(line.startswith("README.md:") for line in shown) == 20

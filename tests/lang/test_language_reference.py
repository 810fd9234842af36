"""Every snippet of the language reference is what it says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sparqc.declared.natives import natives
from sparqc.errors import UsageError
from sparqc.ir.vocabulary.table import default_table
from sparqc.ir.vocabulary.traits import TRAITS
from sparqc.lang.ast import RuleDecl
from sparqc.lang.check.checks import check_file
from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.keywords import BLOCKS, CLAUSES, PROPERTIES, RESERVED
from sparqc.lang.parse.parser import parse_text
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.library import rulebook
from sparqc.tools.rules.examples.result import run_example
from tests.lang.findings_of import NATIVES, findings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/language.md").read_text()


def snippets(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def python() -> dict:
    """What the Python snippets define."""
    defined: dict = {}
    for snippet in snippets("python"):
        exec(snippet, defined)
    return defined


@pytest.mark.parametrize("text", snippets("spq"))
def test_a_snippet_parses_has_no_findings_and_is_canonical(text: str, python: dict) -> None:
    known = {**NATIVES, "power_of_two": natives()["power_of_two"]}
    assert check_file(parse_text(text), default_table(), known) == []
    assert format_file(parse_text(text)) == text


def test_the_python_snippets_define_what_they_say(python: dict) -> None:
    assert python["power_of_two"](8) and not python["power_of_two"](12)
    assert isinstance(python["drop_double_neg"], RuleDecl)


@pytest.mark.parametrize("text", snippets("spq"))
def test_the_examples_hold(text: str, python: dict) -> None:
    book = RuleBook(parse_text(text).declarations)
    for declaration in parse_text(text).declarations:
        declaration = replace(declaration, target=None)  # the page's targets are made up
        for example in declaration.examples:
            for level in declaration.levels:
                found = run_example(declaration, example, level, book)
                assert not found.fault and not found.unmeasured, str(found.error)


def test_what_a_reader_may_copy_is_no_installed_name() -> None:
    """All but the excerpts that show what sparqc itself knows."""
    excerpts = {"fold_batch_norm", "conv_add_act", "convolution", "concat", "shared_dequantize"}
    excerpts |= {"activation", "nn.silu"}
    shown = {d.name for text in snippets("spq") for d in parse_text(text).declarations}
    assert "drop_pool_of_one" in shown
    assert not (shown - excerpts) & {d.name for d in rulebook().declarations}


def test_the_error_message_is_real() -> None:
    (shown,) = snippets("text")
    line = shown.splitlines()[1].strip()
    (finding,) = findings(f"op mine(x):\n    {line}", "mine.spq")
    assert str(finding) == shown.rstrip()


def test_the_tables_name_every_word() -> None:
    words = {word for table in (BLOCKS, CLAUSES) for words in table.values() for word in words}
    for word in words | set(PROPERTIES) | RESERVED:
        assert re.search(rf"`[^`\n]*\b{word}\b", PAGE), f"the page does not explain {word!r}"


def test_the_grammar_is_the_one_that_is_used() -> None:
    assert snippets("lark") == [(ROOT / "compiler/lang/parse/spq.lark").read_text()]


def test_reserved_words_are_reserved() -> None:
    for word in sorted(RESERVED):
        (finding, *_) = findings(f"op f(x):\n    {word} = nn.neg(x)")
        assert finding.message in (f"{word!r} is no name", f"{word!r} does not belong here")


def test_operators_of_the_page_exist() -> None:
    for name in set(re.findall(r"\b(?:nn|q)\.\w+", "".join(snippets("spq")))):
        try:
            default_table().require(name)
        except UsageError as error:
            pytest.fail(str(error))


def test_the_page_lists_every_trait() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.split("### Traits")[1], re.MULTILINE)
    assert dict(listed[: len(TRAITS)]) == TRAITS

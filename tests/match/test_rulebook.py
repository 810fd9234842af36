"""What is declared where, and that the order of files changes nothing."""

import pytest

from sparqc.errors import PatternError, UsageError
from sparqc.lang.parse.parser import parse_text
from sparqc.match.rulebook import RuleBook
from tests.match.sketches import TABLE, book_of


def rule(name, clauses=""):
    return (
        f"rule {name}{clauses}:\n    match:\n        y = nn.relu(x)\n    rewrite:\n        y = x\n"
    )


def fusion(name, clauses=""):
    return f"fusion {name}{clauses}:\n    match:\n        y = nn.relu(x)\n"


def test_declarations_are_found_by_kind_level_and_target():
    book = book_of(
        rule("b") + rule("a", " on fx") + fusion("c", " for chip") + fusion("d", " for chip-2")
    )
    assert [r.name for r in book.rules()] == ["a", "b"]
    assert [r.name for r in book.rules("onnx")] == ["b"]
    assert [f.name for f in book.fusions("fx", "chip-1")] == ["c"]
    assert [f.name for f in book.fusions("fx", "chip-2")] == ["c", "d"]
    assert [f.name for f in book.fusions("fx", "chip-2.1")] == ["c"]
    assert [f.name for f in book.fusions("fx", "chips")] == []
    assert [f.name for f in book.fusions("fx")] == ["c", "d"]
    assert book.shares() == () and book.checks() == ()


def test_a_target_covers_profiles_on_a_dash_boundary():
    book = book_of(fusion("c", " for chip-1"))
    for target, count in [("chip-1", 1), ("chip-1-lite", 1), ("chip-10", 0), ("chip", 0)]:
        assert len(book.fusions("fx", target)) == count


def test_the_order_of_files_changes_nothing():
    files = [
        parse_text(rule("b") + "op act(x):\n    y = nn.relu(x)\n", "one.spq"),
        parse_text("op act(x):\n    y = nn.exp(x)\n" + rule("a"), "two.spq"),
    ]
    books = []
    for order in (files, files[::-1]):
        book = RuleBook(table=TABLE)
        for file in order:
            book.add_file(file)
        books.append(book)
    assert books[0].declarations == books[1].declarations
    assert books[0].spellings("act") == books[1].spellings("act")
    assert books[0].files == books[1].files


def test_a_name_declared_twice_names_both_places():
    book = book_of(rule("a"), "one.spq")
    with pytest.raises(PatternError, match=r"'a' is declared twice: here and at one.spq:1:") as e:
        book.add_file(parse_text("\n" + fusion("a"), "two.spq"))
    assert (e.value.span.file, e.value.span.line) == ("two.spq", 2)


def test_a_family_and_a_rule_cannot_share_a_name():
    with pytest.raises(PatternError, match="'a' is declared twice"):
        book_of(rule("a") + "op a(x):\n    y = nn.relu(x)\n")
    with pytest.raises(PatternError, match="'a' is declared twice"):
        book_of("op a(x):\n    y = nn.relu(x)\n" + rule("a"))


def test_the_same_file_twice_counts_once():
    book = book_of(rule("a"), "one.spq")
    book.add_file(parse_text(rule("a"), "one.spq"))
    assert len(book.rules()) == 1 and len(book.files) == 1


def test_spellings_of_one_name_are_alternatives():
    text = "op act(x):\n    y = nn.{}(x)\n"
    book = book_of(text.format("relu") + text.format("exp") + text.format("relu"))
    assert len(book.spellings("act")) == 2


def test_what_is_left_out_is_not_asked_for_but_others_may_be_like_it():
    text = fusion("a") + "    int8:\n        x per tensor\n" + fusion("b")
    book = book_of(text.replace("fusion b:", "fusion b:\n    like a") + rule("c"))
    book.leave_out(["a", "c"])
    assert [f.name for f in book.fusions()] == ["b"]
    assert [r.name for r in book.rules()] == ["c"]


def test_find_knows_what_was_meant():
    book = book_of(rule("fold_batch_norm") + "op act(x):\n    y = nn.relu(x)\n")
    assert book.find("fold_batch_norm").name == "fold_batch_norm"
    assert book.find("act").name == "act"
    with pytest.raises(UsageError, match="did you mean 'fold_batch_norm'"):
        book.find("fold_batchnorm")

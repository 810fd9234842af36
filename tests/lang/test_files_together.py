"""What a file may use of other files, and what they take from it."""

from sparqc.errors import PatternError
from sparqc.lang.check.checks import PatternWarning, check_file, failures
from sparqc.lang.parse.keywords import PROPERTIES
from sparqc.lang.parse.parser import parse_text
from sparqc.match.evaluate import PROPERTIES as EVALUATED
from tests.lang.findings_of import NATIVES, TABLE

FAMILY = """\
op activation(x):
    y = {nn.relu, nn.clip}(x, ...)
"""
RULE = """\
rule drop_activation on onnx:
    "An activation behind an activation."
    match:
        y = activation(activation(x))
    rewrite:
        y = x
"""


def check(text: str, *others: str) -> list[PatternError]:
    files = [parse_text(other, f"other_{i}.spq") for i, other in enumerate(others)]
    return check_file(parse_text(text, "mine.spq"), TABLE, NATIVES, files)


def test_a_family_of_another_file_is_known() -> None:
    assert [f.message for f in check(RULE)] == ["unknown operator 'activation'"] * 2
    assert check(RULE, FAMILY) == []


def test_the_attributes_of_a_family_are_those_of_its_operators() -> None:
    spelled = FAMILY.replace("nn.clip", "nn.softmax")
    wrong = RULE.replace("activation(x))", "activation(x), axes=1)")
    (finding,) = check(wrong, spelled)
    assert (finding.message, finding.hint) == (
        "activation has no attribute 'axes'",
        "did you mean 'axis'?",
    )
    assert check(wrong.replace("axes", "axis"), spelled) == []


def test_a_family_may_contain_itself() -> None:
    chain = "op chain(x):\n    y = nn.relu(maybe chain(x))\n"
    rule = RULE.replace("activation", "chain").replace("(x))", "(x), axis=1)")
    assert check(chain) == []
    assert [f.message for f in check(rule, chain)] == ["chain has no attribute 'axis'"]


def test_a_name_taken_in_another_file_names_both_places() -> None:
    fusion = 'fusion drop_activation on fx:\n    "A name."\n    match:\n        y = nn.neg(x)\n'
    (finding,) = check(fusion, FAMILY, RULE)
    assert finding.message == "'drop_activation' is declared twice: here and at other_1.spq:1:6"
    assert str(finding.span) == "mine.spq:1:8"


def test_a_family_that_two_files_describe_is_one_by_accident() -> None:
    described = FAMILY.replace("x):\n", 'x):\n    "What follows a layer."\n')
    (finding,) = check(described, described.replace("nn.clip", "nn.silu"))
    assert isinstance(finding, PatternWarning)
    assert finding.message == (
        "the family 'activation' has a description at other_0.spq:1:4 already: rules of either "
        "file find the spellings of both"
    )
    assert check(FAMILY, described.replace("nn.clip", "nn.silu")) == []
    silu = 'op nn.silu(x):\n    "Written out."\n    y = nn.mul(x, nn.sigmoid(x))\n'
    assert check(silu, silu.replace("x, nn", "nn").replace("(x))", "(x), x)")) == []


def test_a_file_among_the_others_is_not_its_own_rival() -> None:
    assert check(RULE, RULE, FAMILY) == []


def test_alternatives_of_one_family_may_stand_in_several_files() -> None:
    assert check(FAMILY, FAMILY.replace("nn.relu", "nn.silu")) == []


def test_warnings_are_told_apart_and_say_so() -> None:
    swap = """\
rule swap on onnx:
    "An addition the other way round."
    match:
        y = nn.add(a, b)
    rewrite:
        y = nn.add(b, a)
"""
    (finding,) = check(swap)
    assert isinstance(finding, PatternWarning)
    assert failures([finding]) == []
    assert str(finding).startswith("mine.spq:6:13: warning: swap may match what it builds")


def test_the_checks_know_the_properties_that_the_engine_evaluates() -> None:
    assert set(PROPERTIES) == EVALUATED

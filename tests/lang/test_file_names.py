"""A pattern file's name is that of the pass that its rules make, and its length has a bound."""

from pathlib import Path

import pytest

from sparqc.errors import UsageError
from sparqc.lang.check.checks import check_file
from sparqc.lang.parse.parser import LONGEST_FILE, parse_file, parse_text
from tests.lang.findings_of import NATIVES, TABLE

RULE = """\
rule double_relu on onnx:
    "A ReLU behind a ReLU."
    match:
        y = nn.relu(nn.relu(x))
    rewrite:
        y = nn.relu(x)
"""


@pytest.mark.parametrize("name", ["9lives.spq", "repeat.spq", "mine/my rules.spq", "a--b.spq"])
def test_a_name_that_no_pass_can_have_is_found_by_the_check(name: str) -> None:
    (finding,) = check_file(parse_text(RULE, name), TABLE, NATIVES)
    assert "no name of a pass" in finding.message and "rename the file" in finding.hint


@pytest.mark.parametrize("name", ["lives9.spq", "mine/My_Rules.spq", "<string>"])
def test_other_names_are_fine(name: str) -> None:
    assert check_file(parse_text(RULE, name), TABLE, NATIVES) == []


def test_a_file_without_rules_may_be_called_as_it_likes() -> None:
    assert check_file(parse_text("op act(x):\n    y = nn.relu(x)\n", "9.spq"), TABLE, NATIVES) == []


def test_a_file_of_millions_of_letters_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.spq"
    path.write_text(RULE * (LONGEST_FILE // len(RULE) + 1))
    with pytest.raises(UsageError, match="too many for a pattern file"):
        parse_file(path)

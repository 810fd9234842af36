"""The records that passes leave for later ones."""

import re
from dataclasses import dataclass, is_dataclass
from pathlib import Path

import pytest

import sparqc.extend
from sparqc.pipeline.catalogue import passes
from sparqc.rewrite.facts import Facts

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/passes.md"
RECORDS = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|", PAGE.read_text(), re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeenElsewhere(Seen):
    pass


def test_a_record_is_found_by_its_type() -> None:
    facts = Facts()
    assert facts.get(Seen) is None and Seen not in facts
    assert facts.get(Seen, Seen(("a",))).layers == ("a",)
    facts.put(Seen(("b",)))
    assert facts[Seen].layers == ("b",) and Seen in facts
    assert facts.get(SeenElsewhere) is None  # a record of a derived type is another fact


def test_a_second_record_takes_the_place_of_the_first() -> None:
    facts = Facts(Seen(("a",)), SeenElsewhere())
    facts.put(Seen(("b",)))
    assert facts[Seen] == Seen(("b",))


def test_a_record_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        Facts()[Seen]


def test_a_copy_is_another_container() -> None:
    facts = Facts(Seen(("a",)))
    copied = facts.copy()
    copied.put(Seen(("b",)))
    assert facts[Seen].layers == ("a",)


@pytest.mark.parametrize(("name", "of"), RECORDS)
def test_the_documented_records_are_there(name: str, of: str) -> None:
    assert is_dataclass(getattr(sparqc.extend, name))
    assert of in passes()


def test_what_passes_leave_is_documented() -> None:
    """Beside what a test of names cannot see: two records that are put by a local name."""
    text = "".join(path.read_text() for path in sorted((ROOT / "passes").rglob("*.py")))
    left = {*re.findall(r"facts\.put\(([A-Z]\w+)\(", text), "Placement", "Adoption"}
    internal = {"CalibrationBatches", "ArrivesInInt8", "TooRough"}
    assert left - {name for name, _ in RECORDS} == internal

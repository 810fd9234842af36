"""The report's sentences on permuted channels."""

from sparqc.passes.permute import Permutation, Permutations
from sparqc.report.notes.permuted import permuted_notes
from sparqc.rewrite.facts import Facts


def row(group: str, reason: str = "", after: float = 0.75) -> Permutation:
    return Permutation(group, (f"{group}_1", f"{group}_2"), 16, 0.75, after, reason)


def test_nothing_is_said_without_permutations() -> None:
    assert list(permuted_notes(Facts())) == []


def test_what_was_gained_and_what_stayed() -> None:
    rows = row("a", after=0.77), row("b", after=0.79), row("c", "no roll allowed")
    facts = Facts(Permutations(rows))
    assert list(permuted_notes(facts)) == [
        "channels permuted in 2 of 3 groups: there 2:4 keeps 78.0% of the weights' magnitude on "
        "average, 75.0% before",
        "channels not permuted: the 16 of c, read by c_1, c_2: no roll allowed",
    ]


def test_many_that_stayed_are_counted() -> None:
    notes = list(permuted_notes(Facts(Permutations(tuple(row(f"g{i}", "why") for i in range(10))))))
    assert len(notes) == 9
    assert notes[-1] == "channels not permuted: 2 more groups"


def test_orders_that_nothing_judged_are_told() -> None:
    facts = Facts(Permutations((row("a", after=0.77),), "calibration data is missing"))
    *_, note = permuted_notes(facts)
    assert note == "the new orders of channels were taken untried: calibration data is missing"

"""The registry of passes: what may register, and what is made from a name and options."""

import importlib
from dataclasses import dataclass, field
from typing import Literal

import pytest

from sparqc.errors import SparqcError, UsageError
from sparqc.pipeline import registry
from sparqc.pipeline.catalogue import make, passes
from sparqc.pipeline.installed import pattern_files
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.presets import presets
from sparqc.pipeline.registry import option_types, register


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone behind it."""
    passes()
    monkeypatch.setattr(registry, "_passes", dict(registry._passes))


def toy(**body: object) -> type[Pass]:
    """A pass class with that body, as the class statement would make it."""
    body = {"__module__": "somebody.passes", "__qualname__": "Toy", "name": "toy-pass", **body}
    return dataclass(frozen=True)(type("Toy", (Pass,), body))


# -- the built-in passes -------------------------------------------------------------------------


def test_the_built_in_passes_are_found_through_their_entry_point() -> None:
    assert {"prune", "place", "calibrate", "export", "surgery", "check"} <= set(passes())
    assert list(passes()) == sorted(passes())


@pytest.mark.parametrize("name", [n for n, c in passes().items() if not hasattr(c, "file")])
def test_a_pass_has_one_name_in_three_spellings(name: str) -> None:
    """drop-zero-bias, drop_zero_bias.py and DropZeroBias."""
    cls = passes()[name]
    assert cls.__module__.rpartition(".")[2] == name.replace("-", "_")
    assert cls.__name__ == "".join(part.capitalize() for part in name.split("-"))


@pytest.mark.parametrize("name", sorted(passes()))
def test_a_pass_explains_itself_and_can_be_made_without_options(name: str) -> None:
    assert passes()[name].help().endswith(".")
    assert make(name) == passes()[name]()


def test_no_pass_has_the_name_of_a_preset() -> None:
    assert not set(passes()) & set(presets())


# -- registering ---------------------------------------------------------------------------------


def test_a_registered_pass_is_listed() -> None:
    cls = register(toy())
    assert passes()["toy-pass"] is cls


def test_a_reloaded_pass_replaces_itself() -> None:
    register(toy())
    again = register(toy())
    assert passes()["toy-pass"] is again


def test_two_passes_of_one_name_are_named_with_their_distributions() -> None:
    with pytest.raises(SparqcError) as caught:
        register(toy(name="export"))
    said = str(caught.value)
    assert "two passes are named 'export'" in said
    assert "sparqc.passes.export.Export of the distribution 'sparqc'" in said
    assert said.partition("\n")[0].endswith("and somebody.passes.Toy"), "which nobody installed"


@pytest.mark.parametrize("name", [None, 3, "", "Toy", "toy_pass", "toy pass", "-toy", "repeat"])
def test_a_name_is_kebab_case(name: object) -> None:
    with pytest.raises(SparqcError, match="kebab-case"):
        register(toy(name=name))


def test_a_pass_is_a_dataclass() -> None:
    class Plain(Pass):
        name = "plain-pass"

    with pytest.raises(SparqcError, match="is no dataclass"):
        register(Plain)


def test_every_option_has_a_default_and_a_type_that_can_be_written() -> None:
    with pytest.raises(SparqcError, match=r"option 'size' of the pass .* has no default"):
        register(toy(__annotations__={"size": int}))
    with pytest.raises(SparqcError, match=r"option 'size' of the pass .* has the type"):
        body = {"__annotations__": {"size": dict[str, int]}, "size": field(default_factory=dict)}
        register(toy(**body))


# -- making --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Adjustable(Pass):
    """Has an option of every kind."""

    name = "adjustable"
    method: Literal["max", "mse"] = "max"
    bits: int = 8
    share: float = 0.5
    label: str | None = None
    strict: bool = True
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bits > 8:
            raise ValueError("more than 8 bits")


@pytest.fixture
def adjustable() -> None:
    register(Adjustable)


def test_options_come_with_their_types() -> None:
    assert option_types(Adjustable)["label"] == str | None
    assert list(option_types(Adjustable)) == list(Adjustable.options())


@pytest.mark.usefixtures("adjustable")
def test_options_are_converted() -> None:
    options = {"method": "mse", "share": 1, "names": ["a"], "label": "x", "strict": False}
    made = make("adjustable", options)
    assert made == Adjustable(method="mse", share=1.0, names=("a",), label="x", strict=False)


@pytest.mark.usefixtures("adjustable")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"methd": "max"}, "has no option 'methd'\n  did you mean 'method'?"),
        ({"method": "maxx"}, "option 'method' of pass 'adjustable' takes one of \"max\", \"mse\""),
        ({"bits": 0.5}, "takes an integer, not 0.5"),
        ({"bits": 9}, "pass 'adjustable': more than 8 bits"),
    ],
)
def test_options_that_a_pass_does_not_take(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        make("adjustable", options)
    assert says in str(caught.value)


def test_an_unknown_pass() -> None:
    with pytest.raises(UsageError) as caught:
        make("exprot")
    assert str(caught.value).startswith("there is no pass 'exprot'\n  did you mean 'export'?\n")


def test_a_pass_without_options_says_so() -> None:
    register(toy())
    with pytest.raises(UsageError, match="it takes no options"):
        make("toy-pass", {"size": 3})


# -- passes that pattern files make ----------------------------------------------------------------


def test_a_pattern_file_with_rules_is_a_pass() -> None:
    assert passes()["fold"].help().startswith("Fold")
    assert make("fold") == passes()["fold"]()


def test_two_pattern_files_of_one_name() -> None:
    with pytest.raises(SparqcError) as caught:
        register(toy(name="fold", file="./fold.spq"))
    assert caught.value.message == (
        "two passes are named 'fold': patterns/algebra/fold.spq of the distribution 'sparqc' "
        "and ./fold.spq"
    )


# -- pattern files ---------------------------------------------------------------------------------


def test_the_built_in_pattern_files_are_found() -> None:
    files = pattern_files()
    labels = [file.label for file in files]
    assert "patterns/algebra/fold.spq" in labels
    assert labels == sorted(labels), "in an order that does not depend on the machine"
    assert {file.distribution for file in files} == {"sparqc"}
    assert all("rule" in f.read() for f in files if f.label == "patterns/algebra/fold.spq")


def test_nothing_is_loaded_twice() -> None:
    assert importlib.import_module("sparqc.passes.export").Export is passes()["export"]
    assert passes() == passes()

"""Pipelines: their text, their edits, the levels they run on, and running them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqc.errors import SparqcError, UsageError
from sparqc.ir.graph import Graph
from sparqc.pipeline import registry
from sparqc.pipeline import run as pipelines
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.passbase import Pass
from sparqc.pipeline.presets import Preset, presets
from sparqc.pipeline.run import Option, Pipeline, Repeat, Step, parse, run
from sparqc.rewrite.context import Context


@dataclass(frozen=True)
class ToyFold(Pass):
    """Runs anywhere."""

    name = "toy-fold"
    method: str | None = None
    limit: float = 1.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToyTrain(Pass):
    """Runs on FX only."""

    name = "toy-train"
    level = "fx"


@dataclass(frozen=True)
class ToyExport(Pass):
    """Takes FX and gives ONNX."""

    name = "toy-export"
    level = "fx"
    gives = "onnx"


@dataclass(frozen=True)
class ToySurgery(Pass):
    """Runs on ONNX only."""

    name = "toy-surgery"
    level = "onnx"


TOYS: Mapping[str, type[Pass]] = {
    cls.name: cls for cls in (ToyFold, ToyTrain, ToyExport, ToySurgery)
}
WHOLE = "toy-train, toy-fold, toy-export, toy-surgery"


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    """Registers the toy passes for the tests of this file."""
    passes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_passes", {**registry._passes, **TOYS})
        yield


def refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(text)
    return caught.value


@pytest.fixture
def preset(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Adds presets of one's own."""

    def preset(**texts: str) -> None:
        own = {name: Preset(name, text, "for a test") for name, text in texts.items()}
        monkeypatch.setattr(pipelines, "presets", lambda: {**presets(), **own})

    return preset


# -- the text --------------------------------------------------------------------------------------


def test_a_pipeline_prints_as_it_is_written() -> None:
    text = 'toy-fold{method="entropy", limit=0.5, names=["a", "b"]}, repeat(toy-fold), toy-train'
    assert str(parse(text)) == text


def test_what_may_be_written_in_other_ways() -> None:
    text = "toy-fold{ method = entropy,limit=1e-3 , names = [ ] },\n  repeat( toy-fold,toy-train )"
    assert str(parse(text)) == (
        'toy-fold{method="entropy", limit=0.001, names=[]}, repeat(toy-fold, toy-train)'
    )
    assert parse("toy-fold{method='2:4'}") == parse('toy-fold{method="2:4"}')
    assert parse("toy-fold{}") == parse("toy-fold")
    assert str(parse("")) == str(parse(" \n ")) == ""


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
options = st.builds(
    Option,
    st.from_regex("[a-z][a-z0-9_]{0,8}", fullmatch=True),
    scalars | st.lists(scalars, max_size=3).map(tuple),
)
option_lists = st.lists(options, max_size=3, unique_by=lambda o: o.name).map(tuple)
steps = st.builds(Step, st.sampled_from(sorted(TOYS)), option_lists)
items = st.recursive(
    steps, lambda inner: st.builds(Repeat, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=5,
)  # fmt: skip
random_pipelines = st.builds(Pipeline, st.lists(items, max_size=4).map(tuple))


@settings(deadline=None)
@given(random_pipelines)
def test_what_is_printed_parses_back(pipeline: Pipeline) -> None:
    again = parse(str(pipeline))
    assert again == pipeline
    assert str(again) == str(pipeline)


@settings(deadline=None)
@given(st.text(alphabet="ab-+@=,(){}[]\"'\\\n 1.e", max_size=30))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        parse(text)
    except UsageError as error:
        assert error.span is not None
        assert error.span.text in text


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("toy-fold toy-train", 10, "expected ',' between two passes"),
        ("toy-fold,", 10, "expected the name of a pass"),
        ("toy-fold{limit}", 15, "expected '=' behind the option 'limit'"),
        ("toy-fold{limit=}", 16, "expected a value"),
        ("toy-fold{limit=1", 17, "expected '}' behind the options"),
        ("toy-fold{limit=1, limit=2}", 19, "option 'limit' is given twice"),
        ('toy-fold{method="a}', 17, "this string has no end"),
        (r'toy-fold{method="\q"}', 17, "in this string"),
        ("toy-fold{limit=1e999}", 16, "this number is too large"),
        ("toy-fold{names=[[1]]}", 17, "expected a value"),
        ("repeat toy-fold", 8, "expected '(' behind 'repeat'"),
        ("repeat()", 8, "expected the name of a pass"),
        ("repeat(toy-fold", 16, "expected ')' at the end of repeat"),
        ("toy-fold; toy-train", 9, "unexpected ';'"),
        ("repeat(" * 3000, 64, "levels of nesting"),
        ("- toy-fold", 3, "no pass 'toy-fold' stands before this edit"),
        ("toy-fold, +toy-train@behind=toy-fold", 22, "'behind' is no place"),
        ("toy-fold, +toy-train@after toy-fold", 28, "expected '=' behind '@after'"),
        ("toy-fold, +toy-train@after=toy-fld", 28, "no pass 'toy-fld' stands before this edit"),
        ("toy-fold, -default", 12, "no pass 'default' stands before this edit"),
        ("toy-flod", 1, "there is no pass 'toy-flod'"),
        ("defualt", 1, "there is no pass 'defualt'"),
        ("default{limit=1}", 9, "'default' is a preset, which takes no options"),
    ],
)
def test_a_mistake_is_shown_with_its_place(text: str, place: int, says: str) -> None:
    error = refusal(text)
    assert says in error.message
    assert (error.span.file, error.span.line, error.span.column) == ("--passes", 1, place)


def test_a_mistake_in_a_later_line() -> None:
    assert str(refusal("toy-fold,\n  toy-flod{limit=1},\n toy-train")).startswith(
        "--passes:2:3: there is no pass 'toy-flod'\n"
        "    toy-flod{limit=1},\n"
        "    ^^^^^^^^\n"
        "  did you mean 'toy-fold'?\n"
    )


def test_a_pass_that_nobody_imported_is_said_to_need_an_import() -> None:
    assert "known once model.py, --import FILE.py or a plug-in imports it" in refusal("own").hint


def test_an_edit_beside_a_pass_that_the_pipeline_lacks_says_where_to_name_it() -> None:
    error = refusal("toy-fold, +toy-fold@after=toy-train")
    assert error.message == "no pass 'toy-train' stands before this edit"
    assert "so name it there: toy-train, default, …" in error.hint


def test_a_preset_counts_where_a_name_is_guessed() -> None:
    assert refusal("defualt").hint.startswith("did you mean 'default'?\n")


# -- presets and edits -----------------------------------------------------------------------------


def test_a_preset_is_expanded_in_its_place(preset: Any) -> None:
    preset(twice="toy-fold, toy-fold", whole="toy-train, repeat(twice)")
    assert str(parse("whole, toy-export")) == ("toy-train, repeat(toy-fold, toy-fold), toy-export")


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_installed_preset_is_a_pipeline_that_ends_in_onnx(name: str) -> None:
    pipeline = parse(name)
    assert pipeline.check("fx") == "onnx"
    for_onnx, skipped = pipeline.for_level("onnx")
    assert for_onnx.check("onnx") == "onnx"
    assert "export" in skipped


def test_a_preset_that_contains_itself(preset: Any) -> None:
    preset(egg="hen", hen="toy-fold, egg")
    error = refusal("egg")
    assert error.message == "the preset 'egg' contains itself: egg -> hen -> egg"
    assert str(error.span) == "preset hen:1:11"


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ("-toy-fold", "toy-train, toy-export, toy-surgery"),
        ("+toy-fold", f"{WHOLE}, toy-fold"),
        ("+toy-fold{limit=2}@before=toy-train", f"toy-fold{{limit=2}}, {WHOLE}"),
        ("+toy-fold@after=toy-export", "toy-train, toy-fold, toy-export, toy-fold, toy-surgery"),
        (
            "+toy-fold{limit=2}@instead=toy-fold",
            "toy-train, toy-fold{limit=2}, toy-export, toy-surgery",
        ),
        (
            "+repeat(toy-fold)@after=toy-surgery, -toy-train",
            "toy-fold, toy-export, toy-surgery, repeat(toy-fold)",
        ),
        ("-toy-fold, +toy-fold@before=toy-export", WHOLE),
    ],
)
def test_edits(preset: Any, edits: str, expected: str) -> None:
    preset(whole=WHOLE)
    assert str(parse(f"whole, {edits}")) == expected


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ("+toy-train@before=toy-fold", "repeat(toy-train, toy-fold), toy-export, toy-fold"),
        ("+toy-train@after=toy-fold", "repeat(toy-fold), toy-export, toy-fold, toy-train"),
        ("+toy-train@instead=toy-fold", "repeat(toy-train), toy-export, toy-train"),
        ("-toy-fold", "toy-export"),
    ],
)
def test_edits_where_a_pass_stands_twice(edit: str, expected: str) -> None:
    assert str(parse(f"repeat(toy-fold), toy-export, toy-fold, {edit}")) == expected


# -- levels ----------------------------------------------------------------------------------------


def test_the_level_after_a_pipeline() -> None:
    assert parse(WHOLE).check("fx") == "onnx"
    assert parse("toy-train, repeat(toy-fold)").check("fx") == "fx"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("toy-export, toy-train", "the pass 'toy-train' runs on fx, but here the graph is onnx"),
        (
            "toy-surgery, toy-export",
            "the pass 'toy-surgery' runs on onnx, but here the graph is fx",
        ),
        ("repeat(toy-fold, toy-export)", "a pass inside 'repeat' changes the level"),
        ('toy-fold{limit="a"}', "option 'limit' of pass 'toy-fold' takes a number, not \"a\""),
        ("toy-fold{limits=1}", "pass 'toy-fold' has no option 'limits'\n"),
    ],
)
def test_what_does_not_fit_is_found_before_anything_runs(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text).check("fx")
    assert says in str(caught.value)
    assert caught.value.span is not None


def test_the_place_of_the_border_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        parse("export, toy-train").check("fx")
    assert caught.value.hint == "put it before 'export' or 'toy-export'"
    with pytest.raises(UsageError) as caught:
        parse("toy-surgery").check("fx")
    assert caught.value.hint == "put it after 'export' or 'toy-export'"


def test_for_a_model_that_comes_in_as_onnx() -> None:
    pipeline = parse(f"repeat(toy-train), {WHOLE}")
    kept, skipped = pipeline.for_level("onnx")
    assert str(kept) == "toy-fold, toy-surgery"
    assert skipped == ("toy-train", "toy-train", "toy-export")
    assert pipeline.for_level("fx") == (pipeline, ())


def test_a_pass_prints_as_a_step() -> None:
    assert str(Step.of(ToyFold(limit=0.5, names=("a",)))) == 'toy-fold{limit=0.5, names=["a"]}'
    assert str(Step.of(ToyFold())) == "toy-fold"
    assert Step.of(ToyFold(method="x")).make() == ToyFold(method="x")


PAGE = Path(__file__).parents[2] / "docs/passes.md"


def documented(pattern: str) -> list[str]:
    return re.findall(pattern, PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("shown", documented(r"^```\n(--passes:.*?)\n```"))
def test_the_errors_in_the_documentation_are_real(shown: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(shown.splitlines()[1].strip()).check("fx")
    # Other tests of this file add a second pass that gives ONNX.
    assert str(caught.value).replace(" or 'toy-export'", "") == shown


@pytest.mark.parametrize("text", documented(r"--passes '([^\n]*)'$"))
def test_the_pipelines_in_the_documentation_are_pipelines(text: str) -> None:
    assert parse(text).check("fx") == "onnx"


# -- running ---------------------------------------------------------------------------------------


@dataclass
class Recorder:
    """Stands for the Action: notes each pass and says that it made so many changes."""

    changes: dict[str, list[int]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def pass_(self, instance: Pass, graph: Graph, context: Context) -> tuple[Graph, int]:
        self.ran.append(str(Step.of(instance)))
        left = self.changes.get(instance.name, [])
        return Graph(instance.gives or graph.level), left.pop(0) if left else 0


def run_with(recorder: Recorder, text: str, level: Any = "fx") -> Graph:
    context: Any = SimpleNamespace(action=recorder)
    return run(parse(text), Graph(level), context)


def test_passes_run_in_order_through_the_action() -> None:
    recorder = Recorder()
    graph = run_with(recorder, "toy-train, toy-fold{limit=2}, toy-export, toy-surgery")
    assert recorder.ran == ["toy-train", "toy-fold{limit=2.0}", "toy-export", "toy-surgery"]
    assert graph.level == "onnx"


def test_nothing_runs_where_a_later_pass_does_not_fit() -> None:
    recorder = Recorder()
    with pytest.raises(UsageError):
        run_with(recorder, "toy-fold, toy-surgery")
    assert recorder.ran == []


def test_fx_passes_are_left_out_for_onnx() -> None:
    recorder = Recorder()
    run_with(recorder, WHOLE, "onnx")
    assert recorder.ran == ["toy-fold", "toy-surgery"]


def test_repeat_goes_on_until_a_round_changes_nothing() -> None:
    recorder = Recorder({"toy-fold": [3, 0], "toy-train": [0, 1]})
    run_with(recorder, "repeat(toy-fold, toy-train), toy-export")
    assert recorder.ran == ["toy-fold", "toy-train"] * 3 + ["toy-export"]


def test_repeat_without_a_fixed_point_is_an_error() -> None:
    recorder = Recorder({"toy-fold": [1] * 10_000})
    with pytest.raises(SparqcError, match=re.escape("repeat(toy-fold) still changes the graph")):
        run_with(recorder, "repeat(toy-fold)")
    assert len(recorder.ran) == pipelines.MOST_ROUNDS

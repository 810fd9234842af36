"""report.html as a browser shows it: drawn, searched, stepped through, and harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sparqc.tools import cli
from sparqc.tools.page.report_page import report_page
from tests import small_models
from tests.browser import Tab, browser, chromium
from tests.tools.page.test_report_page import HOSTILE, RUN, Text

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium is installed")

#: No picture of a network has more elements than this, however large the network is.
MOST_ELEMENTS = 3000


@pytest.fixture(scope="module")
def any_tab() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(any_tab: Tab) -> Iterator[Tab]:
    """A tab in which nothing may go wrong."""
    any_tab.errors.clear()
    yield any_tab
    assert any_tab.errors == []


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (folder / "model.py").write_text(small_models.MODEL)
    words = ["--passes", "all-sparse", "--dump", str(folder / "run"), "--quiet"]
    model, output = str(folder / "model.py"), str(folder / "out.onnx")
    assert cli.run(["compile", model, "-o", output, *words]) == 0
    return folder / "run" / "report.html"


def drawn(tab: Tab, condition: str = "true") -> None:
    """Wait until both graphs are there, and a condition holds."""
    ready = "document.querySelector('#main').ariaBusy === 'false'"
    tab.wait(f"{ready} && document.querySelector('.picture [data-id]') && ({condition})")


def test_both_graphs_are_drawn(tab: Tab, page: Path) -> None:
    tab.open(page)
    drawn(tab, "document.querySelectorAll('.picture [data-id]').length > 8")
    assert tab.run("document.querySelectorAll('.pane h2')[1].textContent").startswith("after: ")
    texts = tab.run("[...document.querySelectorAll('.picture .tag')].map(e => e.textContent)")
    assert "INT8" in " ".join(texts) or tab.run("!!document.querySelector('.share.int8')")


def test_next_and_previous_step_through_the_rules(tab: Tab, tmp_path: Path) -> None:
    events = [rule("fold", "n1"), rule("fold", "n2"), ended("fold"), ended("idle", 0),
              rule("place", "n3"), ended("place")]  # fmt: skip
    tab.open(write(tmp_path, chain(4), events=events))
    drawn(tab)
    for key, at, lit in [
        ("n", "1 of 2", "n1"), ("n", "2 of 2", "n2"), ("n", "1 of 1", "n3"), ("n", "1 of 1", "n3"),
        ("p", "2 of 2", "n2"), ("p", "1 of 2", "n1"),
    ]:  # fmt: skip
        tab.press(key)
        drawn(tab, f"document.querySelector('.lit')?.dataset.id === '{lit}'")
        assert tab.run("document.querySelector('#at').textContent").startswith(at)
        assert lit in tab.run("document.querySelector('.step').textContent")
    tab.run("document.querySelector('#next').click()")
    drawn(tab, "document.querySelector('.lit')?.dataset.id === 'n2'")


def rule(name: str, value: str) -> dict[str, Any]:
    return {"kind": "rule", "pass": name, "rule": "mine", "before": [value], "after": [value]}


def ended(name: str, changes: int = 1) -> dict[str, Any]:
    return {"kind": "pass", "pass": name, "changes": changes, "nodes": [4, 4], "seconds": 0.1}


def test_a_step_shows_its_rule_and_lights_its_nodes(tab: Tab, page: Path) -> None:
    tab.open(page)
    drawn(tab)
    events = [json.loads(x) for x in (page.parent / "events.jsonl").read_text().splitlines()]
    passes = [e["pass"] for e in events if e["kind"] == "pass"]
    tab.run(f"location.hash = 'pass={1 + passes.index('fold')}&step=1'")
    drawn(tab, "document.querySelectorAll('.pane:first-child .lit').length >= 2")
    assert tab.run("document.querySelector('pre.rule').textContent").startswith("rule fold_batch")
    gone = tab.run("document.querySelector('.pane:first-child .gone.lit')?.dataset.id")
    assert gone == "batch_norm"


def test_search_finds_a_node(tab: Tab, page: Path) -> None:
    tab.open(page)
    drawn(tab)
    tab.press("/")
    tab.type("conv_1")
    tab.wait("document.querySelector('#found [role=option]')")
    tab.press("Enter")
    drawn(tab, "document.querySelector('.chosen')?.dataset.id === 'conv_1'")
    card = tab.run("document.querySelector('.node-card').textContent")
    assert "nn.conv" in card and "model.py:15" in card


def test_links_lead_from_a_node_to_its_reader(tab: Tab, page: Path) -> None:
    tab.open(page, "#node=conv_1")
    tab.wait("document.querySelector('.node-card')")
    tab.run(
        "[...document.querySelectorAll('.node-card a')].find(a => a.textContent === 'add').click()"
    )
    tab.wait("document.querySelector('.node-card h3').textContent.startsWith('add')")
    tab.run("history.back()")
    tab.wait("document.querySelector('.node-card h3').textContent.startsWith('conv_1')")


@pytest.mark.parametrize("view", ["text", "ledger", "engine", "run"])
def test_other_views(tab: Tab, page: Path, view: str) -> None:
    tab.open(page, f"#tab={view}")
    tab.wait("document.querySelector('.sheet')")
    text = tab.run("document.querySelector('.sheet').textContent")
    expected = {"text": "differ", "ledger": "layers (3)", "engine": "kernels", "run": "sparse 2:4"}
    assert expected[view] in text


def test_keys_walk_and_open_groups(tab: Tab, tmp_path: Path) -> None:
    tab.open(write(tmp_path, chain(30, "block.inner")))
    drawn(tab)
    tab.run("document.querySelector('.pane:last-child [data-id][tabindex=\"0\"]').focus()")
    tab.press("ArrowDown")
    assert tab.run("document.activeElement.getAttribute('aria-expanded')") == "false"
    tab.press("Enter")
    drawn(tab, "document.querySelectorAll('.picture .node.float').length >= 30")


def test_everything_that_can_be_chosen_has_a_name(tab: Tab, page: Path) -> None:
    tab.open(page)
    drawn(tab)
    nameless = """[...document.querySelectorAll('button, a, input, [role=button]')].filter(
        e => !(e.getAttribute('aria-label') || e.textContent.trim())).length"""
    assert tab.run(nameless) == 0
    assert tab.run("document.querySelectorAll('.pane:last-child [tabindex=\"0\"]').length") == 1


# -- what is large or hostile ------------------------------------------------------------------


def chain(length: int, module: str = "") -> Text:
    """A network of so many operators in a row, each other one skipped over as well."""
    lines = ["graph long on fx (x: f32[1]) -> (y):"]
    names = ["x", *(f"n{i}" for i in range(length))]
    for i in range(length):
        lines.append(
            f"    {names[i + 1]} = nn.add({names[i]}, {names[max(0, i - 2)]}) : f32[1]"
            + (f"  # {module}" if module else "")
        )
    return Text("\n".join([*lines, f"    return {names[-1]} as y"]) + "\n")


def write(
    folder: Path, *stages: Text, events: Sequence[Mapping[str, Any]] = (), **run: Any
) -> Path:
    path = folder / "report.html"
    path.write_text(report_page({**RUN, **run}, events, stages))
    return path


@pytest.mark.parametrize("module", ["", "one.block"])
def test_five_thousand_nodes_are_few_elements(tab: Tab, tmp_path: Path, module: str) -> None:
    tab.open(write(tmp_path, chain(5000, module)))
    drawn(tab)
    assert tab.run("document.querySelectorAll('*').length") < MOST_ELEMENTS
    tab.run("location.hash = 'node=n2500'")
    drawn(tab, "document.querySelector('.chosen')?.dataset.id === 'n2500'")
    assert tab.run("document.querySelectorAll('*').length") < MOST_ELEMENTS
    tab.run("location.hash = 'node=n2500&tab=text'")
    tab.wait("document.querySelector('.diff')")
    assert tab.run("document.querySelectorAll('*').length") < MOST_ELEMENTS


def test_hostile_names_are_text(tab: Tab, tmp_path: Path) -> None:
    name = json.dumps("<img src=x onerror=document.title=1>" + HOSTILE)
    lines = [f"graph g on fx ({name}: f32[1]) -> (y):", f"    y = nn.relu({name}) : f32[1]"]
    text = Text("\n".join([*lines, "    return y"]) + "\n")
    tab.open(write(tmp_path, text, model=HOSTILE, error=HOSTILE))
    drawn(tab)
    for view in ("text", "run", "ledger", "graph&node=y"):
        tab.run(f"location.hash = 'tab={view}'")
        tab.wait(f"location.hash.includes('{view.partition('&')[0]}')")
    assert tab.run("document.querySelectorAll('img').length") == 0
    assert "null" not in tab.run("document.querySelector('#pipeline').textContent")
    assert HOSTILE in tab.run("document.title")


def test_what_a_rule_nearly_matched_stands_with_its_pass_and_in_the_run(
    tab: Tab, tmp_path: Path
) -> None:
    place = "patterns/algebra/fold.spq:3"
    miss = {
        "pass": "one", "number": 1, "rule": "<i>fold", "span": f"{place}:1", "line": f"{place}:9",
        "reason": "x is not <b>constant", "count": 30, "names": ["n1"],
    }  # fmt: skip
    tab.open(write(tmp_path, chain(2), events=[ended("one")], near_misses=[miss]), "#pass=1")
    drawn(tab)
    shown = tab.run("document.querySelector('.misses').textContent")
    assert "nearly matched (1)" in shown and "x is not <b>constant" in shown and "30 times" in shown
    assert tab.run("document.querySelectorAll('.misses b, .misses i').length") == 0
    tab.run("location.hash = 'tab=run'")
    tab.wait("document.body.textContent.includes('rules that nearly matched (1)')")


def test_a_run_without_a_graph_says_so(tab: Tab, tmp_path: Path) -> None:
    tab.open(write(tmp_path, error="it failed"))
    tab.wait("document.querySelector('.failure')")
    assert "There is no graph" in tab.run("document.querySelector('.sheet').textContent")


def test_a_failure_says_where_and_why(tab: Tab, tmp_path: Path) -> None:
    path = write(tmp_path, chain(3), events=[ended("fold"), rule("place", "n1")], error="no scale")
    tab.open(path, "#pass=2")
    drawn(tab)
    card = tab.run("document.querySelector('#details').textContent")
    assert "place" in card and "no scale" in card
    assert "failed" in tab.run("document.querySelector('.chips').textContent")


@pytest.mark.parametrize(
    "address",
    ["#pass=99&step=-1", "#tab=nothing&node=%ff", "#by=kernel", "#tab=constructor&rule=toString"],
)
def test_any_address_is_answered(tab: Tab, page: Path, address: str) -> None:
    tab.open(page, address)
    drawn(tab)


def test_an_event_of_another_kind_is_a_step(tab: Tab, tmp_path: Path) -> None:
    event = {"kind": "guess", "pass": "mine", "seq": 1, "name": "n1", "numbers": {"scale": 0.5}}
    path = write(tmp_path, chain(3), events=[event, ended("mine")])
    tab.open(path, "#pass=1&step=1")
    drawn(tab, "document.querySelector('.lit')?.dataset.id === 'n1'")
    text = tab.run("document.querySelector('.step').textContent")
    assert "guess" in text and "numbersscale0.5" in text


def test_a_decision_on_a_constant_lights_its_reader_and_shows_its_numbers(
    tab: Tab, tmp_path: Path
) -> None:
    lines = ["graph g on fx (x: f32[1]) -> (y):", "    w: const f32[1] = [1.0]",
             "    y = nn.mul(x, w) : f32[1]", "    return y"]  # fmt: skip
    sides = {"before": {"rms": 1.0}, "after": {"rms": 0.25}}
    event = {"kind": "decision", "pass": "mine", "what": "set", "name": "w",
             "constants": {"w": sides}}  # fmt: skip
    stage = Text("\n".join(lines) + "\n")
    tab.open(write(tmp_path, stage, events=[event, ended("mine")]), "#pass=1&step=1")
    drawn(tab, "document.querySelector('.lit')?.dataset.id === 'y'")
    assert tab.run("document.querySelector('.sides').textContent").endswith("rms10.25")

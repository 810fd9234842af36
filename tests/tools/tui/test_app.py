"""`inspect run/ --tui`: keys are pressed, and what stands on the screen is read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from sparqc.errors import UsageError
from sparqc.tools.runs.folder import open_run
from sparqc.tools.tui.app import RunApp
from sparqc.tools.tui.run_view import RunView

SMALL = (80, 24)
Doing = Callable[[RunApp, "Pilot[None]"], Awaitable[None]]


def look(folder: Path, doing: Doing, size: tuple[int, int] = SMALL) -> None:
    """Open a run, and do something with it."""

    async def shown() -> None:
        app = RunApp(RunView.of(open_run(folder)))
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await doing(app, pilot)

    asyncio.run(shown())


def lines(app: RunApp) -> list[str]:
    """The screen as text."""
    return [
        "".join(segment.text for segment in strip)
        for strip in app.screen._compositor.render_strips()
    ]


def screen(app: RunApp) -> str:
    return "\n".join(lines(app))


def below(app: RunApp) -> str:
    """What is told of the chosen row."""
    return str(app.query_one("#text", Static).content)


def where(app: RunApp) -> str:
    return str(app.query_one("#where", Static).content)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def write_events(folder: Path, found: list[dict[str, Any]]) -> None:
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in found))


def test_passes_stand_at_the_side_and_unchanged_ones_are_folded(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        side = [line[:24].strip() for line in lines(app)]
        assert side[1:5] == ["00 as read", "4 unchanged", "05 prune            3",
                             "06 reestimate       1"]  # fmt: skip
        assert "adopt" not in "".join(side)
        await pilot.press("u")
        assert [line[:24].split() for line in lines(app)[2:4]] == [
            ["01", "widen", "0"], ["02", "adopt", "0"],
        ]  # fmt: skip
        await pilot.press("u")
        assert "adopt" not in "".join(line[:24] for line in lines(app))
        await pilot.press("down", "enter")
        assert _marked(app) == app.view.passes[app.number].name == "widen"

    look(dumped, doing)


def test_the_run_is_told_first(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        report = app.view.run.data["report"]
        text = screen(app)
        assert "model.py for tensorrt-11" in text
        assert f"outputs   {report['difference']['snr_db']:.1f} dB" in text
        assert "layers    3 with weights: 3 in INT8, 3 sparse 2:4" in text
        footer = lines(app)[-1]
        assert all(word in footer for word in ("Steps", "Diff", "Why", "/ Find", "? Keys", "Quit"))

    look(dumped, doing)


def test_a_step_shows_its_rule_its_line_and_its_numbers(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("n")
        assert where(app).startswith("05 prune") and "3 changes" in where(app)
        prune = next(e for e in events(dumped) if e["kind"] == "decision")
        assert f"removed {prune['said'][0]['removed']:.4g}" in below(app)
        assert "line     model.py:14   y = torch.relu(self.bn1(self.conv1(x)))" in below(app)
        await pilot.press("n", "n", "n", "n")
        assert where(app).startswith("07 fold")
        assert "rule fold_batch_norm on fx, onnx preserves close:" in below(app)
        assert "patterns/algebra/fold.spq:3" in below(app)
        await pilot.press("p")
        assert where(app).startswith("06 reestimate")

    look(dumped, doing)


def test_j_and_k_go_from_one_changed_pass_to_the_next(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        seen = []
        for _ in range(3):
            await pilot.press("j")
            seen.append(app.view.passes[app.number].name)
        assert seen == ["prune", "reestimate", "fold"]
        await pilot.press("k", "k", "k", "k")
        assert app.number == 0

    look(dumped, doing)


def test_keys_that_come_faster_than_the_screen(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        for _ in range(3):
            app.action_pass(1)
        await pilot.pause()
        assert app.view.passes[app.number].name == "fold" == _marked(app)
        app.pipeline.focus()
        for _ in range(3):
            app.pipeline.action_cursor_down()
        await pilot.pause()
        assert app.view.passes[app.number].name == _marked(app) == "calibrate"

    look(dumped, doing)


def _marked(app: RunApp) -> str:
    chosen = app.pipeline.chosen
    assert chosen is not None
    return app.view.passes[chosen].name


def test_the_difference_has_signs(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "j", "j", "d")
        found = {mark: [r.text for r in app.rows if r.mark == mark] for mark in "+-"}
        assert any("nn.batch_norm(" in text for text in found["-"])
        assert not any("nn.batch_norm(" in text for text in found["+"])
        assert all(text.startswith("- ") for text in found["-"])

    look(dumped, doing)


def test_the_graphs_before_and_behind(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "j", "j", "b")
        before = [row.text for row in app.rows]
        await pilot.press("g")
        behind = [row.text for row in app.rows]
        assert any("nn.batch_norm(" in text for text in before)
        assert not any("nn.batch_norm(" in text for text in behind)
        await pilot.press("j")  # the graph stays what is looked at
        assert where(app).startswith("graph: 09 place")
        assert any("q.qdq(" in row.text for row in app.rows)

    look(dumped, doing)


def test_enter_leads_from_a_step_to_the_graph_to_its_story_and_back(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "s", "enter")
        assert app.shows == "diff" and app.row is not None and app.row.mark == "+"
        await pilot.press("enter")
        assert where(app) == "why: conv1.weight.mask"
        story = [row.text for row in app.rows]
        assert story[2].startswith("  then prune: conv1.weight: put in")
        await pilot.press("down", "down", "enter")
        assert (app.view.passes[app.number].name, app.shows) == ("prune", "steps")
        await pilot.press("escape", "escape", "escape")
        assert (app.view.passes[app.number].name, app.shows) == ("prune", "steps")

    look(dumped, doing)


def test_the_search_finds_passes_operators_modules_and_steps(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"CONV2", "enter")
        found = [row.text.split()[0] for row in app.rows]
        assert {"operator", "step"} <= set(found)
        assert any("conv_1 (conv2)" in row.text for row in app.rows)
        await pilot.press("slash", *"fold", "enter")
        assert app.rows[0].text == "pass      04 fold-constants"
        await pilot.press("down", "enter")
        assert where(app).startswith("07 fold")
        await pilot.press("slash", *"xyzzy", "enter")
        assert [row.text for row in app.rows] == ["nothing is called 'xyzzy'"]
        await pilot.press("slash", "a", "escape")
        assert where(app) == "find: xyzzy"

    look(dumped, doing)


def test_layers_say_why_not(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("l")
        assert [row.text.split()[:3] for row in app.rows] == [
            ["INT8", "2:4", "conv"], ["INT8", "2:4", "conv_1"], ["INT8", "2:4", "linear"],
        ]  # fmt: skip
        await pilot.press("w")
        assert where(app) == "why: conv" and len(app.rows) > 4

    look(dumped, doing)


def test_keys_are_listed_and_a_key_closes_the_list(dumped: Path) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        assert "next step, step before" in screen(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "next step, step before" not in screen(app)
        await pilot.press("q")
        assert app._exit

    look(dumped, doing)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60)])
def test_every_view_fits_the_terminal(dumped: Path, size: tuple[int, int]) -> None:
    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        for key in ("j", "s", "d", "b", "g", "l", "w", "n"):
            await pilot.press(key)
            assert {len(line) for line in lines(app)} == {size[0]} and len(lines(app)) == size[1]

    look(dumped, doing, size)


def test_the_chosen_row_is_seen_without_colour(
    dumped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        assert app.no_color
        await pilot.press("j", "s")
        bold, underlined = (_with(app, attribute) for attribute in ("bold", "underline"))
        assert [text[:20] for text in bold if "put in" in text] == ["conv1.weight: put in"]
        assert [text.split() for text in underlined] == [["05", "prune", "3"]]

    look(dumped, doing)


def _with(app: RunApp, attribute: str) -> list[str]:
    """The stretches of the screen that are bold, or underlined."""
    return [
        segment.text
        for strip in app.screen._compositor.render_strips()
        for segment in strip
        if getattr(segment.style, attribute) and segment.text.strip()
    ]


# -- names and runs of anybody -------------------------------------------------------------------

HOSTILE = "[bold red]x[/bold red] [@click=app.quit]q[/] \x1b[2J\r\x07é"


def test_names_are_shown_as_they_are(run: Path) -> None:
    found = events(run)
    for event in found:
        if event["kind"] == "decision" and event["pass"] == "prune":
            event.update(name=HOSTILE, after=[HOSTILE], module=HOSTILE, reason=HOSTILE)
    write_events(run, found)
    data = json.loads((run / "run.json").read_text())
    data["model"] = HOSTILE
    data["report"]["notes"] = [HOSTILE]
    (run / "run.json").write_text(json.dumps(data))

    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        assert lines(app)[0].startswith(" [bold red]x[/bold red] [@click=app.quit]q[/] \\x1b[2J")
        assert any(row.text == f"note      {HOSTILE}" for row in app.rows)
        for key in ("j", "s", "w", "slash", *"[bold", "enter", "n", "d", "l"):
            await pilot.press(key)
            text = screen(app)
            assert not set(text) & {"\x1b", "\r", "\x07"}
        await pilot.press("n", "p")
        assert "[bold red]x[/bold red]" in screen(app) and "\\x1b[2J" in below(app)

    look(run, doing, (160, 40))


def test_a_graph_that_was_tampered_with_can_be_looked_at(run: Path) -> None:
    (prune,) = (run / "graphs").glob("05-prune.*")
    (fold,) = (run / "graphs").glob("07-fold.*")
    prune.write_text("[bold]this is no graph\n = (\n")
    fold.write_bytes(b"\xff\xfe")

    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "g")
        assert app.rows[0].text == "[bold]this is no graph"
        await pilot.press("d", "j", "j")
        assert where(app).startswith("diff: 07 fold")
        assert "it is no text" in app.rows[0].text and app.rows[0].mark == "!"
        await pilot.press("slash", *"conv", "enter")
        assert "it is no text" in app.rows[0].text
        await pilot.press("s")
        assert "fold_batch_norm made" in app.rows[0].text

    look(run, doing)


@pytest.mark.parametrize(
    "change",
    [
        {"after": 5}, {"after": [[1]]}, {"said": [1]}, {"constants": {"a": 1}}, {"by": [3]},
        {"module": 7}, {"source": ["x"]}, {"source": "x:" + "9" * 5000}, {"name": None},
    ],
)  # fmt: skip
def test_events_with_wrong_values_are_a_sentence(run: Path, change: dict[str, Any]) -> None:
    found = events(run)
    event = next(e for e in found if e["kind"] == "decision")
    event.update(change)
    write_events(run, found)
    try:
        view = RunView.of(open_run(run))
    except UsageError as error:
        assert "is damaged" in str(error)
        return

    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        for key in ("n", "w", "d", "l", "slash", *"conv", "enter"):
            await pilot.press(key)
        assert app.is_running

    assert view.passes
    look(run, doing)


def test_a_run_without_a_report_shows_its_error(run: Path) -> None:
    data = json.loads((run / "run.json").read_text())
    data.update(report=None, error="place: [red]no[/red]\n  a hint")
    (run / "run.json").write_text(json.dumps(data))
    kept = [e for e in events(run) if e["seq"] < 16]
    kept = kept[: next(i for i, e in enumerate(kept) if e["pass"] == "place") + 1]
    write_events(run, kept)

    async def doing(app: RunApp, pilot: Pilot[None]) -> None:
        assert "FAILED" in lines(app)[0]
        assert [row.text for row in app.rows[:2]] == ["place: [red]no[/red]", "  a hint"]
        side = [line[:24] for line in lines(app)]
        assert any("place" in line and "failed" in line for line in side)
        await pilot.press("l")
        assert "the compile failed" in app.rows[0].text

    look(run, doing)

"""Writes the pictures of docs/inspecting.md anew, with chromium: `python -m tests.screenshots`."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from PIL import Image

from sparqc.tools import cli
from sparqc.tools.runs.folder import open_run
from sparqc.tools.tui.app import RunApp
from sparqc.tools.tui.run_view import RunView
from tests.browser import Tab, browser

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "inspecting"
#: A page has few colours; a picture with a palette of so many is a third as large.
COLOURS = 200
MODEL = "examples/fashion_mnist/model.py"


def main() -> None:
    """Compile the example, look at three places of its page, and at its run in the terminal."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        run = Path(made) / "run"
        words = ["-o", str(Path(made) / "out.onnx"), "--dump", str(run), "--quiet"]
        os.chdir(ROOT)  # what is shown names no folder of this machine
        assert cli.run(["compile", MODEL, "--target", "tensorrt-11", *words]) == 0
        with browser(1280, 800) as tab:
            fold = pass_number(tab, run, "fold")
            take(tab, run, "step", "light", f"#pass={fold}&step=3")
            take(tab, run, "kernels", "dark", "#by=kernel&node=relu_9")
            take(tab, run, "text", "light", f"#tab=text&pass={pass_number(tab, run, 'prune')}")
            terminal(tab, run, "terminal")


def pass_number(tab: Tab, run: Path, name: str) -> int:
    """At which place of the pipeline the last pass of a name stands."""
    tab.open(run / "report.html")
    tab.wait("document.querySelector('.pass')")
    names = "[...document.querySelectorAll('.pass .pass-name')].map(e => e.textContent)"
    number: int = tab.run(f"{names}.lastIndexOf('{name}')")
    return number


def take(tab: Tab, run: Path, name: str, scheme: str, address: str) -> None:
    """One picture, once everything is drawn."""
    tab.prefer(scheme)
    tab.open(run / "report.html", address)
    tab.wait("document.querySelector('.picture [data-id], .diff')")
    if "by=kernel" in address or "step" in address:
        tab.wait("document.querySelectorAll('.lit, .chosen').length > 1")
    tab.run("new Promise(done => setTimeout(done, 500))")
    save(tab, name)
    assert tab.errors == []


def save(tab: Tab, name: str) -> None:
    """What the browser shows, as one of the pictures."""
    path = FOLDER / f"{name}.png"
    tab.picture(path)
    Image.open(path).quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def terminal(tab: Tab, run: Path, name: str) -> None:
    """The fourth time that a BatchNorm is folded, in a terminal of 100 columns."""

    async def drawn() -> str:
        app = RunApp(RunView.of(open_run(run)))
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.pause()
            while app.view.passes[app.number].name != "fold":
                await pilot.press("j")
            await pilot.press("n", "n", "n")
            return app.export_screenshot(title="sparqc inspect run/ --tui")

    page = run.parent / "terminal.html"
    page.write_text(f"<body style='margin: 0'>{asyncio.run(drawn())}</body>", encoding="utf-8")
    tab.open(page)
    save(tab, name)


if __name__ == "__main__":
    main()

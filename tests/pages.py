"""`report.html` read without a browser: its elements, and the run inside it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class Page(HTMLParser):
    """The elements of a page, what it would load from elsewhere, and its JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.json = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        self._inside = ("id", "run-data") in attrs

    def handle_data(self, data: str) -> None:
        self.json += data if self._inside else ""


def read_page(path: Path) -> Page:
    """The page in a file."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def shown_run(folder: Path) -> dict[str, Any]:
    """What the page of a dump knows of the run."""
    found: dict[str, Any] = json.loads(read_page(folder / "report.html").json)
    return found

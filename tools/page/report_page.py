"""`report.html` of a dump: the run in one file that needs no server and no network.

The page is a template, a style sheet and the scripts of `assets/`, the libraries of `vendor/`, and
the run as JSON.  Whatever a run holds reaches the browser as that JSON alone, in which no `<`
stands, and the scripts show it as text: a name cannot become HTML.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from sparqc.tools.page.graph_lines import StageText, readable_stages
from sparqc.tools.page.libraries import libraries
from sparqc.tools.page.rule_texts import places_named, rule_texts
from sparqc.tools.page.source_lines import source_lines

ASSETS = Path(__file__).parent / "assets"
#: In the order in which they are loaded: each may use those before it.
SCRIPTS = (
    "elements", "run", "graph", "groups", "layout", "drawing", "pane",
    "address", "pipeline", "steps", "text_diff", "tables", "overview", "details", "search", "keys",
    "app",
)  # fmt: skip


def report_page(
    run: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    stages: Sequence[StageText],
    engine: Mapping[str, Any] | None = None,
) -> str:
    """The whole page.

    Args:
        run: what run.json holds.
        events: the lines of events.jsonl.
        stages: the graphs.
        engine: the engine that the target is expected to build, as `sparqc explain --json` says it.
    """
    graphs = readable_stages(stages)
    sources = {line["source"] for line in graphs["lines"] if "source" in line}
    misses = run.get("near_misses") or []
    data = {
        "run": run,
        "events": list(events),
        **graphs,
        "rules": rule_texts(places_named([*events, *misses], graphs["lines"])),
        "sources": source_lines(sources, run["model"]),
        "engine": engine,
        "licences": [
            {"name": library.name, "version": library.version, "text": library.licence}
            for library in libraries()
        ],
    }
    loaded = [library.code for library in libraries() if not library.worker]
    return Template(_asset("page.html")).substitute(
        title=escape(f"sparqc: {run['model']}"),
        style=_asset("page.css"),
        data=inert_json(data),
        worker="".join(library.code for library in libraries() if library.worker),
        libraries="".join(loaded),
        scripts="\n".join(_asset(f"{name}.js") for name in SCRIPTS),
    )


def inert_json(data: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element.

    JSON has no infinity, so what is infinite or undefined is null.
    """
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")

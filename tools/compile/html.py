"""`report.html` of a dump: the run in one file that needs nothing else to be looked at."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from sparqc.ir.layer_names import layer_name
from sparqc.pipeline.events import PassEvent, RuleEvent

if TYPE_CHECKING:
    from sparqc.tools.compile.recorder import Stage

#: A graph of more lines than this stays in its own file: browsers are slow with such pages.
MOST_LINES = 20_000
#: Likewise for rule applications.
MOST_EVENTS = 5_000

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; --good: #1a7f37; --bad: #b35900;
  --new: #2da44e22; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px;
  padding: 0 1rem; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top }
th { color: var(--dim); font-weight: normal } td.number, th.number { text-align: right }
code, pre, .mono { font: 12px/1.5 ui-monospace, monospace } pre { overflow-x: auto; margin: 0 }
.good { color: var(--good) } .bad { color: var(--bad) } .dim { color: var(--dim) }
details { border: 1px solid var(--line); border-radius: 4px; margin: .4rem 0 }
summary { cursor: pointer; padding: .4rem .7rem } details > div { padding: 0 .7rem .7rem }
.line { display: block; white-space: pre } .line.new { background: var(--new) }
.line[hidden] { display: none }
input[type=search] { font: inherit; width: 100%; padding: .35rem .5rem; margin: .3rem 0;
  box-sizing: border-box }
"""

# Rows and lines that do not hold the word that is typed are hidden, the others unfolded.
_SCRIPT = """
document.querySelectorAll('input[type=search]').forEach(box => box.addEventListener('input', () => {
  const word = box.value.toLowerCase();
  document.querySelectorAll(box.dataset.rows).forEach(row => {
    row.hidden = !row.textContent.toLowerCase().includes(word);
    const folded = row.closest('details');
    if (folded && word) folded.open = true;
  });
}));
"""


def page(
    run: Mapping[str, Any], events: Sequence[PassEvent | RuleEvent], stages: Sequence[Stage]
) -> str:
    """The whole page."""
    parts = [
        *_head(run),
        *_layers(run),
        *_quantizers(run),
        *_adopted(run),
        *_events(events),
        *_graphs(stages),
    ]
    body = "\n".join(parts)
    title = escape(f"sparqc: {run['model']}")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style></head>\n'
        f"<body>\n{body}\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


# -- the head ----------------------------------------------------------------------------------


def _head(run: Mapping[str, Any]) -> Iterator[str]:
    report = run["report"] or {}
    yield f"<h1>{escape(run['model'])}</h1>"
    yield "<table>"
    yield from (_fact(name, value) for name, value in _facts(run, report) if value)
    yield "</table>"


def _facts(run: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "error", run["error"]
    yield "target", report.get("target") or run["target"] or "the default"
    yield "passes", report.get("pipeline") or run["passes"]
    if report:
        total = len(report["layers"])
        yield (
            "layers",
            f"{total} with weights: {report['int8_layers']} in INT8, "
            f"{report['sparse_layers']} sparse 2:4",
        )
    for metric in report.get("metrics", ()):
        yield metric["name"], f"{metric['original']:.4g} → {metric['compiled']:.4g}"
    for finding in report.get("findings") or ():
        where = ", ".join(map(layer_name, finding["nodes"], finding["modules"]))
        yield finding["grade"], f"{finding['id']}: {finding['message']} ({where})"
    for note in report.get("notes", ()):
        yield "note", note
    yield "build", report.get("build_command", "")
    yield "command", shlex.join(run["command"])
    yield "versions", ", ".join(f"{name} {v}" for name, v in run["versions"].items())


def _fact(name: str, value: str) -> str:
    style = ' class="bad"' if name == "error" else ""
    return f"<tr><th>{escape(name)}</th><td{style}>{escape(value)}</td></tr>"


# -- layers ------------------------------------------------------------------------------------


def _layers(run: Mapping[str, Any]) -> Iterator[str]:
    if not run["report"]:
        return
    yield "<h2>Layers</h2>"
    yield '<input type="search" placeholder="find a layer or a reason" data-rows="#layers tr.row">'
    yield '<table id="layers">'
    yield _row(("layer", "operator", "weight", "INT8", "2:4", "line of the model"), cell="th")
    for layer in run["report"]["layers"]:
        shape = "x".join(map(str, layer["shape"]))
        yield _row(
            (layer_name(layer["value"], layer["module"]), layer["op"], shape),
            _verdict(layer["int8"], "INT8", f"float: {layer['float_reason']}"),
            _verdict(layer["sparse"], "2:4", f"dense: {layer['dense_reason']}"),
            f'<td class="mono">{escape(layer["source"])}</td>',
        )
    yield "</table>"


def _quantizers(run: Mapping[str, Any]) -> Iterator[str]:
    """What each quantizer's range is, and how well it stands for the value."""
    rows = (run["report"] or {}).get("quantizers")
    if not rows:
        return
    yield "<h2>Quantizers</h2>"
    yield '<input type="search" placeholder="find one" data-rows="#quantizers tr.row">'
    yield '<table id="quantizers">'
    titles = ("value", "module", "by", "range", "max|x|", "clipped", "SNR", "outliers", "looks bad")
    yield _row(titles, cell="th")
    for row in rows:
        snr = "-" if row["snr_db"] is None else f"{row['snr_db']:.1f} dB"
        yield _row(
            (row["value"], row["module"], row["method"]),
            *(f"<td>{row[name]:.3g}</td>" for name in ("amax", "largest")),
            f"<td>{100 * row['clipped']:.2g} %</td>",
            f"<td>{snr}</td>",
            f"<td>{row['outliers']:.1f}</td>",
            f'<td class="bad">{escape("; ".join(row["concerns"]))}</td>',
        )
    yield "</table>"


def _adopted(run: Mapping[str, Any]) -> Iterator[str]:
    """The quantizers of another tool: what became of each, and why."""
    found = (run["report"] or {}).get("adopted")
    if not found:
        return
    yield "<h2>Adopted</h2>"
    yield f'<p class="dim">Ranges taken over: {len(found["taken"])}; measured or computed anew: '
    yield f"{escape(', '.join([*found['measured'], *found['computed']]) or 'none')}.</p>"
    yield from (f"<p>{escape(note)}</p>" for note in found["notes"])
    yield '<table id="adopted">'
    yield _row(("value", "quantizer", "is", "because"), cell="th")
    for change in found["changes"]:
        kind = f"{change['kind']} to {change['to']}" if change["to"] else change["kind"]
        yield _row((change["value"], change["origin"], kind, change["reason"]))
    for layer, reason in found["left_in_float"].items():
        yield _row((layer, "", "in float", reason))
    yield "</table>"


def _verdict(good: bool, yes: str, no: str) -> str:
    return f'<td class="good">{yes}</td>' if good else f'<td class="bad">{escape(no)}</td>'


def _row(texts: Iterable[str], *cells: str, cell: str = "td", style: str = "row") -> str:
    plain = "".join(f"<{cell}>{escape(text)}</{cell}>" for text in texts)
    return f'<tr class="{style if cell == "td" else ""}">{plain}{"".join(cells)}</tr>'


# -- events ------------------------------------------------------------------------------------


def _events(events: Sequence[PassEvent | RuleEvent]) -> Iterator[str]:
    """Each pass with the rule applications inside it; a pass is told of when it has ended."""
    yield "<h2>Passes and rules</h2>"
    inside: list[RuleEvent] = []
    for event in events:
        if isinstance(event, RuleEvent):
            inside.append(event)
        else:
            yield _pass(event, inside)
            inside = []
    if inside:  # the pass that failed
        yield f"<details open><summary>{escape(inside[0].pass_)}: failed</summary><div>"
        yield f"{_rules(inside)}</div></details>"


def _pass(event: PassEvent, rules: Sequence[RuleEvent]) -> str:
    words = [f"{event.changes} changes", f"{event.nodes[0]} → {event.nodes[1]} operators"]
    words += [f"{1000 * event.seconds:.0f} ms", f"promises {event.preserves}"]
    words += [f"skipped: {event.skipped}"] if event.skipped else []
    words += [str(event.drift)] if event.drift else []
    summary = f"<b>{escape(event.pass_)}</b> <span class=dim>{escape(', '.join(words))}</span>"
    inner = _rules(rules) if rules else "no rule was applied: the pass is written in Python"
    return f"<details><summary>{summary}</summary><div>{inner}</div></details>"


def _rules(rules: Sequence[RuleEvent]) -> str:
    heads = ("no.", "rule", "replaced", "made", "module", "line of the model", "rule stands at")
    rows = [_row(heads, cell="th")]
    for event in rules[:MOST_EVENTS]:
        before, after = ", ".join(event.before), ", ".join(event.after)
        rows.append(
            _row(
                (str(event.seq), event.rule, before, after, event.module, event.source, event.span)
            )
        )
    if len(rules) > MOST_EVENTS:
        rows.append(_row((f"and {len(rules) - MOST_EVENTS} more in events.jsonl",)))
    return f'<table class="mono">{"".join(rows)}</table>'


# -- graphs ------------------------------------------------------------------------------------


def _graphs(stages: Sequence[Stage]) -> Iterator[str]:
    yield "<h2>Graphs</h2>"
    yield '<p class="dim">Lines that a pass made or changed are marked. Behind the #: where a line '
    yield "comes from, and the rules that made it.</p>"
    yield '<input type="search" placeholder="show only lines with this word" data-rows=".line">'
    known: set[str] = set()
    for stage in stages:
        lines = stage.text.splitlines()
        changed = sum(line not in known for line in lines)
        count = f"{len(lines)} lines" + (f", {changed} new" if known else "")
        head = f"<b>{stage.number:02} {escape(stage.name)}</b> ({stage.level}) "
        yield f"<details><summary>{head}<span class=dim>{count}</span></summary><div><pre>"
        yield _graph(stage, lines, known)
        yield "</pre></div></details>"
        known = set(lines)


def _graph(stage: Stage, lines: Sequence[str], known: set[str]) -> str:
    if len(lines) > MOST_LINES:
        return escape(f"{len(lines)} lines: see {stage.file}")
    return "".join(_line(line, new=bool(known) and line not in known) for line in lines)


def _line(line: str, new: bool) -> str:
    code, mark, comment = line.partition("  # ")
    style = "line new" if new else "line"
    tail = f'<span class="dim">{escape(mark + comment)}</span>' if mark else ""
    return f'<span class="{style}">{escape(code)}{tail}</span>'

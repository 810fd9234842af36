"""An event of a run in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sparqc.base.text import shortened

_DONE = {
    "set": "set",
    "insert": "put in",
    "replace": "replaced by",
    "remove": "removed",
    "rewire": "rewired",
    "alter": "changed",
}
#: Fields of rows that say nothing new beside the name of the decision.
_KNOWN = {"fact", "layer", "layers", "value", "weight", "scale", "name", "op", "shape", "by"}
_KNOWN |= {"readers", "fusion"}


def sentence(event: Mapping[str, Any]) -> str:
    """`prune: conv1.weight: put in conv1.weight.masked; removed 0.2`."""
    if event["kind"] == "rule":
        made = shortened(event.get("after", []))
        gone = [name for name in event.get("before", []) if name not in event.get("after", [])]
        of = f" of {shortened(gone)}" if gone else ""
        return f"{event['pass']}: {event['rule']} made {made}{of} ({event.get('span', '')})"
    head = f"{event['pass']}: {event.get('name', '')}"
    if reason := event.get("reason"):
        text = f"{head} stays as it is: {reason}"
    elif event.get("what") == "say":
        text = head
    else:
        done = _DONE.get(event.get("what", ""), "changed")
        names = [n for n in event.get("after", []) if n != event.get("name")]
        text = f"{head}: {done} {shortened(names)}".rstrip()
    details = [*_constants(event)]
    details += [word for row in event.get("said") or () for word in row_words(row)]
    by = f" ({', '.join(event['by'])})" if event.get("by") else ""
    return text + "".join(f"; {detail}" for detail in details) + by


def _constants(event: Mapping[str, Any]) -> Iterator[str]:
    for name, pair in (event.get("constants") or {}).items():
        before, after = pair.get("before", {}), pair.get("after", {})
        if "value" in after:
            yield f"{name} {_number(before.get('value'))} -> {_number(after['value'])}"
        elif "rms" in after:
            decibels = f", {pair['snr_db']:.1f} dB" if pair.get("snr_db") is not None else ""
            rms = f"{_number(before.get('rms'))} -> {_number(after['rms'])}"
            yield f"{name} root mean square {rms}{decibels}"


def row_words(row: Mapping[str, Any]) -> Iterator[str]:
    """`removed 0.2`: each figure of a row of a fact."""
    for key, value in row.items():
        if key not in _KNOWN and not isinstance(value, (list, dict)):
            yield f"{key.replace('_', ' ')} {_number(value)}"


def _number(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

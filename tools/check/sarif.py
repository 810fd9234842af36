"""What `sparqc check` found as SARIF 2.1.0, which code hosts and editors show beside the source.

A finding is a result of the rule of its id.  Its place in the user's source comes from the metadata
of the file, where it has that; else it is the ONNX file.  The layer is the logical location.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sparqc
from sparqc.ir.onnx.metadata.provenance import sources_of
from sparqc.passes.check.finding import Finding
from sparqc.tools.check.checked import Checked
from sparqc.tools.check.pages import CheckPage, check_pages, sentence

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
#: What SARIF calls our grades.
LEVELS = {"error": "error", "slow": "warning", "note": "note"}


def sarif(file: Path, checked: Checked) -> dict[str, Any]:
    """The whole log, as plain data."""
    pages = {page.id: page for page in check_pages()}
    ids = list(dict.fromkeys(finding.id for finding in checked.findings))
    sources = sources_of(checked.model)
    driver = {
        "name": "sparqc check",
        "version": sparqc.__version__,
        "rules": [_rule(id, pages.get(id)) for id in ids],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True}],
        "artifacts": [{"location": {"uri": _uri(file)}, "roles": ["analysisTarget"]}],
        "properties": {"target": checked.context.target.name},
        "results": [
            _result(finding, ids.index(finding.id), file, sources) for finding in checked.findings
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(id: str, page: CheckPage | None) -> dict[str, Any]:
    """What there is to say of a check; of a person's own only its name."""
    if page is None:
        return {"id": id}
    said = [sentence(page.doc), sentence(page.cure), f"Source: {page.source}"]
    titled = [said[0], f"**What to do.** {said[1]}", f"**Source.** {page.source}"]
    return {
        "id": id,
        "shortDescription": {"text": said[0]},
        "help": {"text": "\n\n".join(said), "markdown": "\n\n".join(titled)},
    }


def _result(finding: Finding, index: int, file: Path, sources: Mapping[str, str]) -> dict[str, Any]:
    cure = f" {sentence(finding.cure)}" if finding.cure else ""
    return {
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": LEVELS[finding.grade],
        "message": {"text": f"{finding.message}.{cure}"},
        "locations": [_location(finding, file, sources)],
        "properties": dict(_properties(finding)),
    }


def _location(finding: Finding, file: Path, sources: Mapping[str, str]) -> dict[str, Any]:
    """The line of the first node that has one, and all layers."""
    source = next((sources[name] for name in finding.nodes if name in sources), "")
    location: dict[str, Any] = {"physicalLocation": _physical(source, file)}
    modules = finding.modules or ("",) * len(finding.nodes)
    layers = [
        {"name": node, "fullyQualifiedName": module or node, "kind": "module"}
        for node, module in zip(finding.nodes, modules, strict=True)
    ]
    return location | ({"logicalLocations": layers} if layers else {})


def _physical(source: str, file: Path) -> dict[str, Any]:
    name, _, line = source.rpartition(":")
    if not (name and line.isascii() and line.isdigit() and int(line) > 0):
        return {"artifactLocation": {"uri": _uri(file)}}
    return {"artifactLocation": {"uri": quote(name)}, "region": {"startLine": int(line)}}


def _properties(finding: Finding) -> Iterator[tuple[str, Any]]:
    """The price, what `--fix` would do, and where it is written that this is so."""
    for name in ("cost", "share", "fix", "source"):
        value = getattr(finding, name)
        if value not in ("", None):
            yield name, value


def _uri(file: Path) -> str:
    return file.as_uri() if file.is_absolute() else quote(file.as_posix())

"""What `sparqc check` found as JUnit's XML, which build servers show as tests.

A check that found nothing is a test that passed, and each finding is a test of its own: failed
where the command fails on its grade, passed with the finding in its output where it does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from sparqc.passes.check.finding import Finding
from sparqc.tools.check.checked import Checked
from sparqc.tools.check.pages import check_pages


def junit(file: Path, checked: Checked, failing: Collection[str]) -> str:
    """The whole document; findings of the grades `failing` are failures."""
    failed = sum(finding.grade in failing for finding in checked.findings)
    tests = [*_passed(checked), *(_found(finding, failing) for finding in checked.findings)]
    counts = {"tests": str(len(tests)), "failures": str(failed), "errors": "0"}
    suites = Element("testsuites", counts)
    suite = SubElement(suites, "testsuite", {"name": _text(f"sparqc check {file}"), **counts})
    suite.extend(tests)
    return tostring(suites, encoding="unicode", xml_declaration=False)


def _passed(checked: Checked) -> Iterator[Element]:
    """The checks of this target that found nothing."""
    found = {finding.id for finding in checked.findings}
    for page in check_pages():
        if page.id not in found and checked.context.target.name.startswith(page.target):
            yield _test(page.id)


def _found(finding: Finding, failing: Collection[str]) -> Element:
    where = f": {finding.titles[0]}" if finding.nodes else ""
    test = _test(f"{finding.id}{where}")
    lines = [finding.message, finding.cost, finding.cure, f"at {', '.join(finding.titles)}"]
    said = _text("\n".join(filter(None, lines)))
    if finding.grade in failing:
        failure = {"type": finding.grade, "message": _text(finding.message)}
        SubElement(test, "failure", failure).text = said
    else:
        SubElement(test, "system-out").text = f"{finding.grade}: {said}"
    return test


def _test(name: str) -> Element:
    return Element("testcase", {"classname": "sparqc.check", "name": _text(name)})


def _text(text: str) -> str:
    """Without what XML has no letters for: names in a file may hold anything."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)

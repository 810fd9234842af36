"""A run as lists of rows: its passes, their steps, graphs and differences, layers, answers.

All is read from what `sparqc.tools.runs` reads.  What is damaged in a run becomes a row that
says so: the rest can still be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sparqc.base.reading import damaged
from sparqc.base.text import counted
from sparqc.errors import SparqcError, UsageError
from sparqc.report.sentence import sentence
from sparqc.tools.runs.folder import RunFolder, StageFile
from sparqc.tools.runs.graph_lines import GraphLine, graph_lines
from sparqc.tools.runs.overview import heading, overview
from sparqc.tools.runs.story import stories
from sparqc.tools.tui.details import event_detail, line_detail
from sparqc.tools.tui.row import Row
from sparqc.tools.tui.text_diff import defined, text_diff

#: So many finds are listed.
MOST_FOUND = 300


@dataclass(frozen=True)
class PassView:
    """A pass of the run; number 0 stands for the model as it was read."""

    number: int
    name: str
    #: What `sparqc inspect run/` says of it.
    told: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    before: StageFile
    after: StageFile

    @property
    def is_changed(self) -> bool:
        """Whether it did anything: other passes are folded."""
        return not self.number or bool(self.steps) or self.before is not self.after

    @property
    def title(self) -> str:
        """`08 place  19.3 dB  67 > 157 operators  30 changes  0.08 s`."""
        parts = [f"{self.number:02} {self.name}"]
        if not self.number:
            return "the run"
        if not self.told:
            return f"{parts[0]}  did not come to its end"
        if self.told["skipped"]:
            parts.append(f"skipped ({self.told['skipped']})")
        if self.told["snr_db"] is not None:
            parts.append(f"{self.told['snr_db']:.1f} dB")
        before, after = self.told["operators"]
        sizes = f"{before}" if before == after else f"{before} > {after}"
        parts += [f"{sizes} operators", counted(self.told["changes"], "change")]
        return "  ".join([*parts, f"{self.told['seconds']:.2f} s"])


@dataclass(frozen=True)
class RunView:
    """A run that can be looked at."""

    run: RunFolder
    passes: Sequence[PassView]
    told: dict[str, Any]

    @classmethod
    def of(cls, run: RunFolder) -> RunView:
        """UsageError where the events cannot be read."""
        with damaged(str(run.path), error=UsageError):
            told = overview(run)
            rows = {row["number"]: row for row in told["passes"]}
            first = run.stages[0]
            passes = [PassView(0, "as read", {}, (), first, first)]
            for number, found in enumerate(run.by_pass, 1):
                before = passes[-1].after
                after = next((s for s in run.stages if s.number == number), before)
                name = found.event["pass"] if found.event else str(found.steps[-1]["pass"])
                made = PassView(number, name, rows.get(number, {}), found.steps, before, after)
                _ = made.title, _shown(made.steps)
                passes.append(made)
        return cls(run, passes, told)

    @property
    def title(self) -> str:
        """`model.py for tensorrt-11`, and the error of a run that failed."""
        failed = "   FAILED" if self.told["error"] else ""
        return f"{heading(self.told)}{failed}"

    # -- one pass --------------------------------------------------------------------------------

    def steps(self, number: int) -> list[Row]:
        """What a pass did; of number 0 what is known of the run."""
        if number == 0:
            return self._safely(self._about)
        found = self.passes[number]
        rows = self._safely(lambda: self._steps(found))
        return rows or [Row("this pass did nothing")]

    def _steps(self, found: PassView) -> Iterator[Row]:
        for index, event in enumerate(found.steps):
            text = sentence(event).removeprefix(f"{event['pass']}: ")
            yield Row(text, self._event(event), _node(event), (found.number, index))

    def _event(self, event: Mapping[str, Any]) -> Callable[[], str]:
        return lambda: event_detail(event, self.run)

    def graph(self, stage: StageFile) -> list[Row]:
        """The lines of a graph."""
        return self._safely(
            lambda: (_line_row(text, self._lines(stage), self.run) for text in _lines_of(stage))
        )

    def diff(self, number: int) -> list[Row]:
        """What is new and gone in the graph behind a pass."""
        return self._safely(lambda: self._diff(self.passes[number]))

    def _diff(self, found: PassView) -> Iterator[Row]:
        if found.before is found.after or found.before.text == found.after.text:
            yield Row("the graph is the same as before")
            return
        known = {"-": self._lines(found.before), "+": self._lines(found.after)}
        for sign, line in text_diff(_lines_of(found.before), _lines_of(found.after)):
            if sign == "#":
                yield Row(line, mark="#")
                continue
            row = _line_row(line, known["-" if sign == "-" else "+"], self.run)
            text = f"{sign or ' '} {row.text}"
            yield Row(text, row.detail, row.node, mark=sign)

    def _lines(self, stage: StageFile) -> Mapping[str, GraphLine]:
        if stage.file not in self._known:
            self._known[stage.file] = graph_lines(stage.text)
        return self._known[stage.file]

    @cached_property
    def _known(self) -> dict[str, Mapping[str, GraphLine]]:
        return {}

    # -- the whole run ---------------------------------------------------------------------------

    def _about(self) -> Iterator[Row]:
        if self.told["error"]:
            for line in str(self.told["error"]).splitlines():
                yield Row(line, mark="!")
        report = self.run.data.get("report") or {}
        gap, quality = report.get("difference") or {}, report.get("quality") or {}
        if gap.get("snr_db") is not None:
            yield Row(f"outputs   {gap['snr_db']:.1f} dB: {quality.get('grade', '')}")
        if report:
            yield Row(
                f"layers    {len(report['layers'])} with weights: {report['int8_layers']} in INT8, "
                f"{report['sparse_layers']} sparse 2:4"
            )
        yield Row(f"passes    {self.run.data.get('pipeline') or self.run.data.get('passes')}")
        yield Row(f"command   {' '.join(map(str, self.run.data.get('command') or ()))}")
        for finding in report.get("findings") or ():
            text = f"{finding['grade']:<9} {finding['id']}: {finding['message']}"
            yield Row(text, _said(finding.get("cure", "")), mark="!")
        for note in report.get("notes") or ():
            yield Row(f"note      {note}")

    def layers(self) -> list[Row]:
        """What became of each layer with weights."""
        report = self.run.data.get("report") or {}
        rows = self._safely(lambda: map(_layer_row, report.get("layers") or ()))
        return rows or [Row("the run has no report: the compile failed")]

    def why(self, name: str) -> list[Row]:
        """What led to an operator."""
        return self._safely(lambda: self._why(name))

    def _why(self, name: str) -> Iterator[Row]:
        places = {
            id(event): (found.number, index)
            for found in self.passes
            for index, event in enumerate(found.steps)
        }
        for node in stories(self.run, name)["nodes"]:
            yield Row(node["text"], _said(node["text"]), node["names"][0], mark="#")
            where = [f"line {node['source']}"] if node["source"] else []
            where += [f"module {node['module']}"] if node["module"] else []
            yield Row(f"  from {', '.join(where) or 'no line of the model'}")
            for event in node["events"]:
                text = f"  then {sentence(event)}"
                yield Row(text, self._event(event), _node(event), places.get(id(event)))
            if not node["events"]:
                yield Row("  no pass has touched it")

    def find(self, word: str) -> list[Row]:
        """Passes, operators and steps in whose words a word stands, whatever its case."""
        rows = self._safely(lambda: self._find(word.casefold()))
        return rows[:MOST_FOUND] or [Row(f"nothing is called {word!r}")]

    def _find(self, word: str) -> Iterator[Row]:
        for found in self.passes:
            if word in found.name.casefold():
                yield Row(f"pass      {found.number:02} {found.name}", step=(found.number, 0))
        seen = set[tuple[str, ...]]()
        for stage in reversed(self.run.stages):
            for line in self._lines(stage).values():
                words = " ".join((*line.names, line.op, line.module)).casefold()
                if line.op and line.names not in seen and word in words:
                    module = f" ({line.module})" if line.module else ""
                    text = f"operator  {', '.join(line.names)}{module}  {line.op}"
                    yield Row(text, _detail_of(line, self.run), line.names[0])
                seen.add(line.names)
        for found in self.passes[1:]:
            for row in self._steps(found):
                if word in row.text.casefold():
                    yield Row(f"step      {found.name}: {row.text}", row.detail, row.node, row.step)

    def _safely(self, rows: Callable[[], Iterable[Row]]) -> list[Row]:
        try:
            with damaged(str(self.run.path), error=UsageError):
                return list(rows())
        except SparqcError as error:
            return [Row(line, mark="!") for line in str(error).splitlines()]


def _shown(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """Each step in words, so that what cannot be told is found when the run is opened."""
    return [sentence(step) for step in steps]


def _lines_of(stage: StageFile) -> list[str]:
    return stage.text.splitlines()


def _line_row(text: str, lines: Mapping[str, GraphLine], run: RunFolder) -> Row:
    """A line of a graph text; what it comes from is told below it."""
    code, name = text.strip(), defined(text)
    line = lines.get(name) or lines.get(name.strip('"'))
    if line is None:
        return Row(text.rstrip(), _said(code))
    return Row(line.code, _detail_of(line, run), line.names[0])


def _detail_of(line: GraphLine, run: RunFolder) -> Callable[[], str]:
    return lambda: line_detail(line, run)


def _said(text: str) -> Callable[[], str]:
    return lambda: text


def _node(event: Mapping[str, Any]) -> str:
    """The operator of a step that `why` can be asked for."""
    names = [*event.get("after", ()), event.get("name", ""), *event.get("before", ())]
    return next((name for name in names if name), "")


def _layer_row(layer: Mapping[str, Any]) -> Row:
    title = layer["value"] if layer["module"] in ("", layer["value"]) else (
        f"{layer['value']} ({layer['module']})"
    )  # fmt: skip
    kinds = f"{'INT8' if layer['int8'] else 'float':<6}{'2:4' if layer['sparse'] else 'dense':<6}"
    shape = "x".join(map(str, layer["shape"]))
    reasons = [f"float: {layer['float_reason']}"] if layer["float_reason"] else []
    reasons += [f"dense: {layer['dense_reason']}"] if layer["dense_reason"] else []
    where = f"{layer['op']}, weight {layer['weight']} {shape}   {layer.get('source', '')}"
    return Row(f"{kinds}{title}", _said("\n".join([where, *reasons])), layer["value"])

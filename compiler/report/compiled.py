"""What `sparqc.compile` gives: a result that can be asked."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sparqc.base.text import counted
from sparqc.errors import UsageError
from sparqc.job.result import Result

if TYPE_CHECKING:
    from sparqc.report.layers import LayerRow
    from sparqc.report.report import Report
    from sparqc.report.why import Why


@dataclass(repr=False)
class Compiled(Result):
    """A finished compile.

    Nothing of the report is made before somebody asks for it.
    """

    #: What people call the model, and the wall seconds of what was done.
    name: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    _report: Report | None = field(default=None, init=False, compare=False)

    @classmethod
    def of(cls, result: Result, name: str, seconds: dict[str, float]) -> Compiled:
        """A result with its name, and how long it took."""
        return cls(**vars(result), name=name, seconds=seconds)

    def __repr__(self) -> str:
        """One line: the arrays in it are long."""
        parts = [f"{counted(len(self.graph), 'operator')} for {self.context.target.name}"]
        if self.difference is not None and not math.isnan(self.difference.snr_db):
            snr = self.difference.snr_db
            parts.append("equal outputs" if math.isinf(snr) else f"{snr:.1f} dB")
        found = Counter(finding.grade for finding in self.findings)
        parts += [f"{counted(n, 'finding')} of grade {grade}" for grade, n in sorted(found.items())]
        return f"<Compiled: {', '.join(parts)}>"

    def save(self, path: Path | str) -> None:
        """Write the ONNX file, all of it or nothing.  SparqcError where that fails."""
        super().save(path)
        self._report = None  # it names the files

    @property
    def report(self) -> Report:
        """What was done to each layer, and what it cost: `print(compiled.report)`."""
        if self._report is None:
            from sparqc.report.reading import Account, report_of

            self._report = report_of(self, Account(self.name, phases=self.seconds))
        return self._report

    @property
    def layers(self) -> tuple[LayerRow, ...]:
        """A row for each operator with weights: whether it runs in INT8 and sparse, or why not."""
        return self.report.layers

    def why(self, name: str) -> Why:
        """Where an operator of the finished graph comes from, and what was decided of it.

        `name` is that of a value or of a module, a glob over either, or both as reports name a
        layer: "conv_9 (c2.m.a.conv)".  UsageError where there is none.
        """
        if not isinstance(name, str):
            raise UsageError(
                f"why takes the name of an operator, not a value of type {type(name).__name__}",
                hint='as compiled.why("layer1.0.conv1"); compiled.layers lists layers by title',
            )
        from sparqc.report.why import why

        return why(self.graph, self.context, name)

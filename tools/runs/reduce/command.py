"""`sparqc reduce`: the smallest part of a model that still shows what is wrong."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparqc.base.text import counted
from sparqc.errors import SparqcError, UsageError
from sparqc.tools.runs.asked import request_of, where_it_ran
from sparqc.tools.runs.checks import Check, tried
from sparqc.tools.runs.folder import SCHEMA, RunFolder, open_run
from sparqc.tools.runs.trust import trust_option
from sparqc.tools.terminal import completion

if TYPE_CHECKING:
    import onnx

    from sparqc.ir.graph import Graph
    from sparqc.job.result import Result
    from sparqc.tools.model.request import Request


@click.command("reduce")
@click.argument("run", shell_complete=completion.folders)
@click.option("--check", "command", metavar="CMD", help="Fails on a bad model: 'CMD {}'.")
@click.option("--timeout", type=float, default=600.0, show_default=True, metavar="SECONDS",
              help="After which a command counts as hanging.")  # fmt: skip
@click.option("--min-snr", type=float, metavar="DB",
              help="Bad is what has less dB than this once it is compiled as RUN was.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="The ONNX file to write; RUN/reduced.onnx without it.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@trust_option
def reduce_command(
    run: str,
    command: str | None,
    timeout: float,
    min_snr: float | None,
    output: Path | None,
    as_json: bool,
    trust: bool,
) -> None:
    """Cut the model of RUN down to the smallest that still shows what is wrong.

    The model that went into RUN, as a float ONNX file, is given to the command ({} stands for the
    file), and then smaller and smaller parts of it, with outputs cut and operators removed, as long
    as the command fails on them.  With --min-snr each part is compiled as RUN was, on the values
    that it has inside of the model.  Without either, bad is what fails to compile as RUN did.
    """
    if command is not None and min_snr is not None:
        raise UsageError("--check and --min-snr: reduce takes one of them")
    check = Check.parse(command, timeout) if command is not None else None
    folder = open_run(run, trust=trust)
    file = (output or folder.path / "reduced.onnx").absolute()
    if not file.parent.is_dir():
        raise UsageError(f"-o {file}: there is no folder {file.parent}")
    with where_it_ran(folder):
        found = _reduced(folder, check, min_snr, file)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(found["text"], nl=False)
        click.echo(
            f"{found['operators'][1]} of {counted(found['operators'][0], 'operator')} left, after "
            f"{found['tried']} tries: {found['file']}"
        )


def _reduced(
    run: RunFolder, check: Check | None, min_snr: float | None, file: Path
) -> dict[str, Any]:
    from sparqc.ir.onnx.adapter import save_onnx
    from sparqc.ir.text.print import print_graph

    compiled = _as_onnx(run)
    fails = _question(run, check, min_snr, compiled)
    question = _Question(compiled, fails)
    question.require_sense()
    graph = question.smallest()
    save_onnx(question.model(graph), file)
    return {
        "schema": SCHEMA,
        "operators": [len(compiled.graph), len(graph)],
        "tried": question.tried,
        "file": str(file),
        "text": print_graph(graph, compiled.context.table),
    }


def _question(
    run: RunFolder, check: Check | None, min_snr: float | None, compiled: Result
) -> Callable[[onnx.ModelProto], bool]:
    """What says whether a part is bad."""
    if check is not None:
        return _on_file(check)
    if min_snr is None:
        return _fails_alike(run)
    request = request_of(run, layers=None, limit=None, dynamic_batch=True)
    from sparqc.tools.runs.reduce.loses import Loses

    return Loses.of(compiled, request, min_snr)


def _as_onnx(run: RunFolder) -> Result:
    """The model of a run in float, as ONNX."""
    from sparqc.job.run import run_job
    from sparqc.tools.model.open_request import open_request

    plain: dict[str, Any] = {
        "passes": "export",
        "io": "float",
        "float": "",
        "layers": None,
        "limit": None,
    }
    job = open_request(request_of(run, **plain, patterns=(), skip=(), check="off")).job
    return run_job(replace(job, gate=None))


@dataclass
class _Question:
    """Whether parts of one graph are bad."""

    compiled: Result
    fails: Callable[[onnx.ModelProto], bool]
    tried: int = 0
    _known: dict[str, bool] = field(default_factory=dict)

    def model(self, graph: Graph) -> onnx.ModelProto:
        from sparqc.job.write import write_for

        context = self.compiled.context
        return write_for(graph, context.table, context.target)

    def is_bad(self, graph: Graph | None) -> bool:
        """Whether a part is; what is no model is not."""
        from sparqc.ir.text.print import print_graph
        from sparqc.job.verify import check_model

        if graph is None or not len(graph):
            return False
        text = print_graph(graph, self.compiled.context.table, origins=False)
        if text not in self._known:
            try:
                model = self.model(graph)
                check_model(model)
            except SparqcError:
                return False
            self.tried += 1
            self._known[text] = self.fails(model)
        return self._known[text]

    def require_sense(self) -> None:
        """Raises SparqcError where the whole is not bad, or everything is."""
        from sparqc.ir.text.parse import parse_graph

        if not self.is_bad(self.compiled.graph):
            raise SparqcError(
                "the check does not fail on the model of the run, as a float ONNX file",
                hint="the fault may lie in its export, or the command in no need of {}, or the "
                "limit too low",
            )
        nothing = "graph g on onnx 17 (x: f32[1, 2]) -> (y):\n    y = nn.identity(x) : f32[1, 2]\n"
        if self.is_bad(parse_graph(nothing + "    return y\n", self.compiled.context.table)):
            raise SparqcError(
                "the check always fails: also on a model that is one Identity",
                hint="mend the command: it says nothing about the model",
            )

    def smallest(self) -> Graph:
        """Fewer operators, then fewer outputs, then operators bypassed, until nothing helps."""
        graph = self.compiled.graph
        size = len(graph) + 1
        while len(graph) < size:
            size = len(graph)
            graph = self._bypassed(self._fewer_outputs(self._fewer_operators(graph)))
        return graph

    def _fewer_operators(self, graph: Graph) -> Graph:
        from sparqc.tools.runs.reduce.minimize import minimal
        from sparqc.tools.runs.reduce.pieces import piece

        names = [node.outputs[0].name for node in graph.nodes if node.outputs]
        kept = minimal(names, lambda part: self.is_bad(piece(graph, part)))
        return piece(graph, kept) if len(kept) < len(names) else graph

    def _fewer_outputs(self, graph: Graph) -> Graph:
        from sparqc.tools.runs.reduce.minimize import minimal
        from sparqc.tools.runs.reduce.pieces import with_outputs

        names = [value.name for value in graph.outputs]
        kept = minimal(names, lambda part: self.is_bad(with_outputs(graph, part)))
        return with_outputs(graph, kept) if len(kept) < len(names) else graph

    def _bypassed(self, graph: Graph) -> Graph:
        from sparqc.tools.runs.reduce.pieces import without

        for name in [node.outputs[0].name for node in graph.nodes]:
            smaller = without(graph, name) if name in graph else None
            if smaller is not None and len(smaller) < len(graph) and self.is_bad(smaller):
                graph = smaller
        return graph


def _on_file(check: Check) -> Callable[[onnx.ModelProto], bool]:
    from sparqc.ir.onnx.adapter import save_onnx

    def fails(model: onnx.ModelProto) -> bool:
        with tempfile.TemporaryDirectory(prefix="sparqc-reduce-") as made:
            path = Path(made) / "model.onnx"
            save_onnx(model, path)
            return check.fails(path)

    return fails


def _fails_alike(run: RunFolder) -> Callable[[onnx.ModelProto], bool]:
    """Whether a compile fails as that of a run did: by the same words, whatever the names."""
    told = run.data.get("error") or ""
    if not told:
        raise UsageError(
            f"{run.path} did not fail, so that nothing says what is bad",
            hint="say it with --check 'CMD {}'",
        )
    request = request_of(run, random_calibration=True, dynamic_batch=True, layers=None, limit=None)

    def fails(model: onnx.ModelProto) -> bool:
        _, error = tried(lambda: _compile(model, request))
        return error is not None and _words(error.message) == _words(told)

    return fails


def _compile(model: onnx.ModelProto, request: Request) -> None:
    from sparqc.job.open import new_job
    from sparqc.job.run import run_job
    from sparqc.tools.model.own_modules import import_own

    import_own(request.imports)
    options = request.options
    run_job(new_job(model, options=replace(options, exclude=(), dense=())))


_NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|\S*\d\S*")


def _words(message: str) -> Sequence[str]:
    """The words of the first clause that name nothing of one model."""
    clause = re.split(r"[,:\n]", message, maxsplit=1)[0]
    return [word for word in _NAMES.sub("", clause).split() if word]

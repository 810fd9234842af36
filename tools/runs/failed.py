"""What a failed compile leaves behind: a run directory that `sparqc replay` runs again."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparqc.errors import SparqcError

if TYPE_CHECKING:
    from sparqc.ir.graph import Graph
    from sparqc.rewrite.context import Context
    from sparqc.tools.compile.dump import Run


def keep_failure(
    run: Run, graph: Graph, context: Context, error: Exception, *, whole: bool
) -> Path | None:
    """Write the graph as it was read, and what was asked for, to a folder of the system's temporary
    ones; with its weights and data where it is to be `whole`.  Returns the folder, None where the
    system refuses.
    """
    from sparqc.tools.compile.dump import write_dump
    from sparqc.tools.compile.recorder import GraphRecorder
    from sparqc.tools.runs.stored import large_constants, write_data, write_weights

    recorder = GraphRecorder()
    recorder.begin(graph)
    run = replace(run.with_error(error), alone=True)
    try:
        made = tempfile.mkdtemp(prefix="sparqc-failed-")
    except OSError:
        return None
    folder = Path(made) / "run"
    try:
        write_dump(folder, run, recorder)
        if whole:
            write_weights(folder, dict(large_constants(graph)))
            write_data(folder, context)
    except (OSError, SparqcError):
        shutil.rmtree(made, ignore_errors=True)
        return None
    return folder

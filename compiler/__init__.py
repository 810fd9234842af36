"""sparqc: a declarative graph-rewriting compiler from PyTorch to sparse INT8 ONNX.

`sparqc.compile(module, inputs, calibration=…, passes="default", target=…)` is the way in; see
`sparqc.api`.  Importing the package itself loads neither torch nor onnx.

What is here is for people who compile and train models.  Who writes a pass, a rule, an operator or
a target imports from `sparqc.extend`.  All other modules may move from version to version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparqc.base.lazy import door

__all__ = [
    "Compiled",
    "Options",
    "Prepared",
    "Report",
    "SparqcError",
    "Sparsity",
    "UsageError",
    "__version__",
    "apply_masks",
    "bake",
    "compile",
    "current_ranks",
    "finish",
    "load_state",
    "masks",
    "prepare",
    "recalibrate",
    "save_state",
    "sparsify",
    "sparsity",
]

#: The public names, by the module that defines them.
HOMES = {
    "sparqc.api": ("compile",),
    "sparqc.base.version": ("__version__",),
    "sparqc.errors": ("SparqcError", "UsageError"),
    "sparqc.job.options": ("Options",),
    "sparqc.ranks.process_group": ("current_ranks",),
    "sparqc.report.compiled": ("Compiled",),
    "sparqc.report.report": ("Report",),
    "sparqc.training.finishing": ("finish",),
    "sparqc.training.parametrization": ("apply_masks", "bake", "masks"),
    "sparqc.training.prepared": ("Prepared",),
    "sparqc.training.preparing": ("prepare",),
    "sparqc.training.ranges": ("recalibrate",),
    "sparqc.training.sparsifying": ("Sparsity", "sparsify", "sparsity"),
    "sparqc.training.state": ("load_state", "save_state"),
}

if TYPE_CHECKING:
    from sparqc.api import compile
    from sparqc.base.version import __version__
    from sparqc.errors import SparqcError, UsageError
    from sparqc.job.options import Options
    from sparqc.ranks.process_group import current_ranks
    from sparqc.report.compiled import Compiled
    from sparqc.report.report import Report
    from sparqc.training.finishing import finish
    from sparqc.training.parametrization import apply_masks, bake, masks
    from sparqc.training.prepared import Prepared
    from sparqc.training.preparing import prepare
    from sparqc.training.ranges import recalibrate
    from sparqc.training.sparsifying import Sparsity, sparsify, sparsity
    from sparqc.training.state import load_state, save_state
else:  # a type checker sees the names above, and refuses others
    __getattr__, __dir__ = door(__name__, HOMES)

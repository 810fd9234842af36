"""sparqc: a declarative graph-rewriting compiler from PyTorch to sparse INT8 ONNX.

`sparqc.compile(module, inputs, calibration=…, passes="default", target=…)` is the way in; see
`sparqc.api`.  Importing the package itself loads neither torch nor onnx.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparqc.api import compile
    from sparqc.errors import SparqcError, UsageError
    from sparqc.job.options import Options
    from sparqc.job.run import Compiled
    from sparqc.training.finishing import finish
    from sparqc.training.parametrization import bake, masks
    from sparqc.training.prepared import Prepared
    from sparqc.training.preparing import prepare
    from sparqc.training.sparsifying import sparsify

__all__ = [
    "Compiled",
    "Options",
    "Prepared",
    "SparqcError",
    "UsageError",
    "__version__",
    "bake",
    "compile",
    "finish",
    "masks",
    "prepare",
    "sparsify",
]

#: Where each public name is defined; it is imported on first use (PEP 562).
_HOMES = {
    "compile": "sparqc.api",
    "Compiled": "sparqc.job.run",
    "Options": "sparqc.job.options",
    "SparqcError": "sparqc.errors",
    "UsageError": "sparqc.errors",
    "Prepared": "sparqc.training.prepared",
    "bake": "sparqc.training.parametrization",
    "finish": "sparqc.training.finishing",
    "masks": "sparqc.training.parametrization",
    "prepare": "sparqc.training.preparing",
    "sparsify": "sparqc.training.sparsifying",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for."""
    if name == "__version__":
        return importlib.metadata.version("sparqc")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

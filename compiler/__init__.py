"""sparqc: a declarative graph-rewriting compiler from PyTorch to sparse INT8 ONNX.

`sparqc.compile(module, inputs, calibration=…, passes="default", target=…)` is the way in; see
`sparqc.api`.  Importing the package itself loads neither torch nor onnx.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparqc.api import Compiled, Options, compile
    from sparqc.errors import SparqcError, UsageError

__all__ = ["Compiled", "Options", "SparqcError", "UsageError", "__version__", "compile"]

#: Where each public name is defined; it is imported on first use (PEP 562).
_HOMES = {
    "compile": "sparqc.api",
    "Compiled": "sparqc.api",
    "Options": "sparqc.api",
    "SparqcError": "sparqc.errors",
    "UsageError": "sparqc.errors",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for."""
    if name == "__version__":
        return importlib.metadata.version("sparqc")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

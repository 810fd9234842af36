"""Training with masks and fake quantizers inside: `prepare`, `finish` and `sparsify`.

See docs/training.md.  Every name is imported on first use, as in `sparqc` itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparqc.training.finishing import finish
    from sparqc.training.parametrization import apply_masks, bake, masks
    from sparqc.training.prepared import Prepared
    from sparqc.training.preparing import prepare
    from sparqc.training.ranges import recalibrate
    from sparqc.training.sparsifying import Sparsity, sparsify, sparsity
    from sparqc.training.state import load_state, save_state

__all__ = [
    "Prepared",
    "Sparsity",
    "apply_masks",
    "bake",
    "finish",
    "load_state",
    "masks",
    "prepare",
    "recalibrate",
    "save_state",
    "sparsify",
    "sparsity",
]

_HOMES = {
    "Prepared": "prepared",
    "Sparsity": "sparsifying",
    "apply_masks": "parametrization",
    "bake": "parametrization",
    "finish": "finishing",
    "load_state": "state",
    "masks": "parametrization",
    "prepare": "preparing",
    "recalibrate": "ranges",
    "save_state": "state",
    "sparsify": "sparsifying",
    "sparsity": "sparsifying",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

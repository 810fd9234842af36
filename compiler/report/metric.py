"""One figure of a person's own, of both models."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One number that evaluate() gives, for both models."""

    name: str
    original: float
    compiled: float

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not finite becomes None."""
        return {k: _finite(v) for k, v in asdict(self).items()}


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Random numbers that follow from where a run is, and from nothing that happened before."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def seed_of(*parts: int | str) -> int:
    """A number of 32 bits, another one for each sequence of parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


def seed_everything(*parts: int | str) -> None:
    """Start the streams of Python, numpy and torch (every device) anew.

    A step that begins with it draws the same numbers in a run that was killed and resumed.
    """
    seed = seed_of(*parts)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

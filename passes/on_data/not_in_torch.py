"""What keeps a graph from being run as a module of PyTorch."""

from __future__ import annotations

from sparqc.errors import SparqcError


class NotInTorch(SparqcError):
    """An operator of the graph does not run in PyTorch."""

"""The error that passes which compute in PyTorch have in common; it does without PyTorch itself."""

from sparqc.errors import SparqcError


class NotInTorch(SparqcError):
    """An operator of the graph does not run in PyTorch."""

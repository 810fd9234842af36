"""A checkpoint: one safetensors file, whose header holds the plain state as JSON.

One file is there wholly or not at all: it is written beside its place and renamed.  Nothing in it
is ever executed, and a hash over everything tells a damaged one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from sparqc.base.reading import damaged
from sparqc.base.whole_file import whole_file
from sparqc.errors import SparqcError

#: The key of the header, and what the file says it is.
_KEY, _FORMAT = "sparqc", "sparqc tune checkpoint 1"
_HEAD = {"format", "state", "hash"}


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and plain data."""

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, all of it or nothing, and onto the disk before this returns.

    Raises SparqcError where the file cannot be written.
    """
    tensors = {n: t.detach().cpu().contiguous().clone() for n, t in checkpoint.tensors.items()}
    state = json.dumps(checkpoint.state, sort_keys=True)
    head = {"format": _FORMAT, "state": state, "hash": _hash(tensors, state)}
    data = save(tensors, {_KEY: json.dumps(head)})
    try:
        with whole_file(path, lasting=True) as file:
            file.write(data)
    except OSError as error:
        raise SparqcError(f"{path} cannot be written: {error.strerror or error}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; SparqcError where it is damaged or is none."""
    with damaged(str(path)):
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        head = _head(header, path)
        if head["hash"] != _hash(tensors, head["state"]):
            raise SparqcError(f"{path} is damaged: its contents are not those that were written")
        return Checkpoint(tensors, json.loads(head["state"]))


def _head(header: Mapping[str, str], path: Path) -> dict[str, str]:
    try:
        head = json.loads(header.get(_KEY, ""))
    except (ValueError, RecursionError):
        head = None
    if not (isinstance(head, dict) and {k for k, v in head.items() if isinstance(v, str)} == _HEAD):
        raise SparqcError(f"{path} is no checkpoint of sparqc tune")
    if head["format"] != _FORMAT:
        raise SparqcError(f"{path} is a {head['format']!r}, which this version does not read")
    return head


def tensor_hash(tensor: Tensor) -> str:
    """SHA-256 of dtype, shape and contents."""
    digest = hashlib.sha256(f"{tensor.dtype}{list(tensor.shape)}".encode())
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(memoryview(flat.view(torch.uint8).numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()


def _hash(tensors: Mapping[str, Tensor], state: str) -> str:
    lines = [f"{name} {tensor_hash(tensors[name])}" for name in sorted(tensors)]
    return hashlib.sha256("\n".join([*lines, state]).encode()).hexdigest()

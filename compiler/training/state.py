"""Checkpoints of prepared and sparsified modules: plain tensors in safetensors files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sparqc.base.keywords import suggests_keywords
from sparqc.base.whole_file import whole_file
from sparqc.errors import SparqcError
from sparqc.training.wrappers import GATHERED, require_whole

#: How many differences an error lists.
_LISTED = 5


@suggests_keywords
def save_state(module: nn.Module, path: Path | str) -> None:
    """Write a module's parameters, buffers and masks as a safetensors file, all of it or nothing.

    Raises SparqcError where the file cannot be written, UsageError where the parameters are cut
    among processes.
    """
    require_whole(module, "save_state", GATHERED)
    path = Path(path)
    seen: dict[int, Tensor] = {}
    tensors = {name: _own(tensor, seen) for name, tensor in module.state_dict().items()}
    try:
        with whole_file(path) as file:
            file.write(save(tensors))
    except (OSError, safetensors.SafetensorError) as error:
        raise SparqcError(f"{path} cannot be written: {error}") from error


@suggests_keywords
def load_state(module: nn.Module, state: Mapping[str, Tensor] | Path | str) -> nn.Module:
    """Give a module the tensors of a state_dict, or of a file of `save_state`; returns the module.

    Masks are part of the state: the module has those of the checkpoint afterwards.  Nothing is
    executed.  Raises SparqcError, saying what differs, for a checkpoint of another model; the
    module is then unchanged.
    """
    require_whole(
        module,
        "load_state",
        "set_model_state_dict of torch.distributed.checkpoint.state_dict takes a whole state_dict",
    )
    tensors = state if isinstance(state, Mapping) else _read(Path(state))
    where = "the checkpoint" if isinstance(state, Mapping) else str(state)
    differences = list(_differences(module.state_dict(), tensors))
    if differences:
        more = len(differences) - _LISTED
        listed = "; ".join(differences[:_LISTED]) + (f"; and {more} more" if more > 0 else "")
        raise SparqcError(
            f"{where} does not belong to this module: {listed}",
            hint="prepare or sparsify the same model, with the same options, before loading",
        )
    module.load_state_dict(dict(tensors))
    return module


def _own(tensor: Tensor, seen: dict[int, Tensor]) -> Tensor:
    """A contiguous tensor that shares its memory with no other one of the file."""
    key = tensor.untyped_storage().data_ptr()
    tensor = tensor.detach().contiguous()
    if key in seen:
        tensor = tensor.clone()
    seen[key] = tensor
    return tensor


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise SparqcError(f"{path} cannot be read as safetensors: {error}") from error


def _differences(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    found = [f"{name} is missing" for name in expected if name not in given]
    found += [f"{name} is unknown" for name in given if name not in expected]
    for name in expected.keys() & given.keys():
        mine, other = expected[name], given[name]
        if mine.shape != other.shape:
            found.append(f"{name} is {list(other.shape)}, not {list(mine.shape)}")
        elif (mine.dtype == torch.bool) != (other.dtype == torch.bool):
            found.append(f"{name} is {_type(other)}, not {_type(mine)}")
        elif other.is_floating_point() and not torch.isfinite(other).all():
            found.append(f"{name} has numbers that are NaN or infinite")
    return found


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

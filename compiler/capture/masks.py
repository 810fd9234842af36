"""Masks that lie beside their weights as buffers, `__weight_mma_mask`, as ASP of Apex leaves them.

ASP multiplies the weights when it computes the masks, and again behind each step of the optimizer.
A checkpoint from between the two has weights that do not fit their masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sparqc.errors import SparqcError

_MASK = re.compile(r"_*(?P<weight>\w+?)_mma_mask")


def masks(module: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor]]:
    """Path, owner, name and mask of each parameter with a mask beside it."""
    for path, owner in module.named_modules():
        for buffer, mask in owner._buffers.items():
            found = _MASK.fullmatch(buffer)
            if found and mask is not None and owner._parameters.get(found["weight"]) is not None:
                yield f"{path}.{found['weight']}".lstrip("."), owner, found["weight"], mask


def masked_weight(path: str, weight: Tensor | None, mask: Tensor) -> nn.Parameter | None:
    """The product with the mask; None where the weight is zero already where the mask is.

    Raises SparqcError where the two have different shapes.
    """
    assert weight is not None
    if weight.shape != mask.shape:
        raise SparqcError(
            f"the mask beside {path} has the shape {list(mask.shape)}, the weight "
            f"{list(weight.shape)}",
            hint="load weights and masks of one checkpoint",
        )
    kept = mask.to(weight.device) != 0
    if not bool((weight.detach()[~kept] != 0).any()):
        return None
    return nn.Parameter(torch.where(kept, weight.detach(), 0.0), weight.requires_grad)

"""What `prune` decided for each layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sparqc.passes.layerwise.repaired import Repaired


@dataclass(frozen=True)
class Mask:
    """What was decided for the weight of one layer."""

    layer: str  # as the weighted operator is marked: `sparqc.ir.layer_identity`
    module: str
    weight: str
    shape: tuple[int | str, ...]
    axis: int  # the reduction axis, along which 2:4 runs
    masked: bool
    reason: str  # why it stays dense; "" where it does not
    #: The share of the weight's squared norm that the mask removes; 0 where nothing was removed.
    removed: float = 0.0


@dataclass(frozen=True)
class Unseen:
    """The outputs on images that were held back, against those of the network before."""

    snr_db: float
    images: int


@dataclass(frozen=True)
class Pruning:
    """The fact that `prune` leaves, by layer."""

    masks: Mapping[str, Mask] = field(default_factory=dict)
    #: The layers that stay dense.
    dense: Mapping[str, Mask] = field(default_factory=dict)
    #: The layers whose weights that stay were solved anew, in the order of the network.
    repaired: tuple[Repaired, ...] = ()
    #: Why layers that were to be repaired were pruned by magnitude alone; "" where none was.
    unrepaired: str = ""
    #: The outputs on images that the repair did not see; None where none were held back.
    unseen: Unseen | None = None
    #: The layers whose zeros were 2:4 along flattened C·R·S, and not along C.
    misplaced: tuple[str, ...] = ()

    @property
    def is_lossy(self) -> bool:
        """Whether a mask removed anything: weights that were 2:4 already lose nothing."""
        return any(mask.removed for mask in self.masks.values())


def misplaced_notes(pruning: Pruning) -> Iterator[str]:
    """A line where zeros that a model came with were chosen along another axis."""
    if names := pruning.misplaced:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield (
            f"{names[0]}{more} had zeros that are 2:4 along flattened C·R·S, as sparsegpt of Model "
            "Optimizer leaves them in convolutions; the target wants them along C, so that `prune` "
            "takes more weights: prune the dense model anew"
        )

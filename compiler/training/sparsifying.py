"""`sparqc.sparsify`: 2:4 masks on the user's own module, for sparse fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from sparqc.base.keywords import keywords_of, suggests_keywords
from sparqc.errors import SparqcError, UsageError
from sparqc.ir.fx.tensor import array_of, tensor_of
from sparqc.ir.graph import Array, Graph
from sparqc.job.batches import Calibration, Inputs
from sparqc.job.open import new_job
from sparqc.job.options import Options, make_options
from sparqc.passes.masks.pruning import Pruning, misplaced_notes
from sparqc.ranks.ranks import ALONE, Ranks
from sparqc.training.front_end import FrontEnd
from sparqc.training.normalization import operand
from sparqc.training.parametrization import (
    apply_masks,
    computes,
    first_name,
    stored_parameters,
)
from sparqc.training.wrappers import as_written, require_whole, unwrapped

if TYPE_CHECKING:
    from sparqc.rewrite.context import Progress

M = TypeVar("M", bound=nn.Module)
#: Where `sparsify` leaves what it found, on the module.
_KEY = "_sparqc_sparsity"


@dataclass(frozen=True)
class Sparsity:
    """What `sparsify` decided."""

    #: The weights that have a mask, and the share of their squared norm that it removes.
    masked: Mapping[str, float] = field(default_factory=dict)
    #: The layers that stay dense, and why.
    dense: Mapping[str, str] = field(default_factory=dict)
    #: The parameters and buffers that got other numbers (by a repair, or re-estimated statistics).
    changed: tuple[str, ...] = ()
    #: What a person should know of the masks.
    notes: tuple[str, ...] = ()


@suggests_keywords
def sparsity(module: nn.Module) -> Sparsity:
    """What `sparsify` decided for a module; UsageError for one that it did not see."""
    found = unwrapped(module).__dict__.get(_KEY)
    if not isinstance(found, Sparsity):
        raise UsageError(f"{type(module).__name__} was not given to sparqc.sparsify")
    return found


def sparsify(
    module: M,
    inputs: Inputs,
    *,
    calibration: Calibration | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
    **wishes: object,
) -> M:
    """Put 2:4 masks on the weights of a module by sparqc's rules; returns the module itself.

    The module stays what it was (BatchNorm, dropout, control flow), and any training loop keeps the
    zeros: each masked weight is parametrized (`torch.nn.utils.parametrize`).  The parameters stay
    the same objects, so that an optimizer, DistributedDataParallel and torch.compile may know them
    already.  What is masked is decided on a captured copy, by the passes of the pipeline in front
    of the first one that takes a BatchNorm away or puts a quantizer in (in "default": `prune` and
    `reestimate`).  Weights and statistics that they change are changed in the module, by name.
    Without calibration data the statistics stay, and the training follows them; only a pass that
    measures something else asks for data.

    Raises SparqcError where nothing may be masked, with the reasons, and where `sparqc.compile`
    would; the module is then unchanged.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"sparsify takes a PyTorch module, not {type(module).__name__}")
    _sparsify(
        unwrapped(module),
        inputs,
        calibration=calibration,
        options=make_options(options, keywords_of(sparsify), **wishes),
        progress=progress,
        ranks=ranks,
    )
    return module


def _sparsify(
    module: nn.Module,
    inputs: Inputs,
    *,
    calibration: Calibration | None,
    options: Options,
    progress: Progress | None,
    ranks: Ranks,
) -> None:
    require_whole(module, "sparsify", "call it first, and fully_shard on what it returns")
    with as_written(module):
        job = new_job(
            module,
            inputs,
            calibration=calibration,
            options=options,
            progress=progress,
            ranks=ranks,
        )
    front_end = FrontEnd(job, module)
    if job.context.calibration is None:
        front_end.leave_to_training()
    held = dict(_masks(front_end.graph))
    graph, pruning = _masked_graph(front_end)
    found = dict(_masks(graph))
    dense = {k: m.reason for k, m in pruning.dense.items()}
    if not found:
        raise _nothing(front_end, dense)
    tensors = _tensors(module)
    own = {name for name in found if computes(module, name)}
    for name in own:
        _require_kept(name, held.get(name), found[name], pruning)
    changes = dict(_changes(graph, tensors))
    apply_masks(module, {name: mask for name, mask in found.items() if name not in own})
    for name, data in changes.items():
        with torch.no_grad():
            tensors[name].copy_(tensor_of(np.array(data)))
    removed = {m.weight: m.removed for m in pruning.masks.values()}
    masked = {
        first_name(tensors, name) if name in tensors else name: removed.get(name, 0.0)
        for name in found
    }
    notes = tuple(misplaced_notes(pruning))
    module.__dict__[_KEY] = Sparsity(masked, dense, tuple(changes), notes)


def _masked_graph(front_end: FrontEnd) -> tuple[Graph, Pruning]:
    """The graph, and what `prune` decided, before the first pass that leaves the module's form."""
    graph, pruning, count = front_end.graph.clone(), Pruning(), -1
    for _ in chain(front_end.run(), [None]):  # in front of each pass, and behind the last one
        norms = sum(node.op == "nn.batch_norm" for node in front_end.graph.nodes)
        quantized = any(node.op.startswith("q.") for node in front_end.graph.nodes)
        if quantized or norms < count:
            return graph, pruning
        graph, count = front_end.graph.clone(), norms
        pruning = front_end.job.context.facts.get(Pruning, pruning)
    return graph, pruning


def _masks(graph: Graph) -> Iterator[tuple[str, Tensor]]:
    for node in graph.nodes:
        weight, mask = operand(node, "w"), operand(node, "mask")
        if node.op == "sparse.mask" and weight is not None and mask is not None:
            yield weight.name, tensor_of(np.array(cast(Array, mask.data) != 0))


def _nothing(front_end: FrontEnd, dense: Mapping[str, str]) -> SparqcError:
    if not dense:
        return UsageError(
            f"the pipeline masks nothing: {front_end.job.pipeline}",
            hint="put `prune` in front of what folds and quantizes",
        )
    reasons = "; ".join(f"{layer}: {reason}" for layer, reason in list(dense.items())[:3])
    careful = any(reason.startswith("unlikely to pay") for reason in dense.values())
    return SparqcError(
        f"no weight of the module may be 2:4 ({reasons})",
        hint='with --passes all-sparse (passes="all-sparse") these layers are masked too'
        if careful
        else "",
    )


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by all their names."""
    found: dict[str, Tensor] = dict(stored_parameters(module))
    return found | dict(module.named_buffers(remove_duplicate=False))


def _require_kept(name: str, held: Tensor | None, mask: Tensor, pruning: Pruning) -> None:
    """SparqcError where a weight that a module computes by itself would need another mask."""
    if held is None:
        raise SparqcError(
            f"the weight {name!r} is computed by the module, and has no parameter to mask",
            hint="remove its parametrization first, such as weight normalization",
        )
    if not torch.equal(held, mask):
        notes = "".join(f"; {note}" for note in misplaced_notes(pruning))
        raise SparqcError(
            f"the module holds a mask on {name} by itself that is not 2:4 as the target wants it"
            f"{notes}",
            hint="take the masks of the other tool off first, and let sparsify choose",
        )


def _changes(graph: Graph, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Array]]:
    """The tensors of the module that passes have given other numbers."""
    for constant in graph.constants:
        tensor, data = tensors.get(constant.name), cast(Array, constant.data)
        if tensor is None or np.array_equal(data, array_of(tensor, constant.name)):
            continue
        _require_shape(constant.name, data, tensor)
        yield constant.name, data


def _require_shape(name: str, data: Array, tensor: Tensor) -> None:
    if tuple(tensor.shape) != data.shape:
        raise SparqcError(
            f"a pass has changed the shape of {name} from {list(tensor.shape)} to "
            f"{list(data.shape)}: the module cannot follow",
            hint="leave that pass out of the pipeline for sparsify",
        )

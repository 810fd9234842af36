"""2:4 masks on the weights of any module, through torch.nn.utils.parametrize."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparqc.base.keywords import suggests_keywords
from sparqc.errors import SparqcError, did_you_mean
from sparqc.training.prepared import Prepared
from sparqc.training.pretrained import save_as_before, save_plainly
from sparqc.training.wrappers import GATHERED, require_whole, unwrapped


class Masked(nn.Module):
    """The parametrization: a weight where its mask is set, zero elsewhere; so is the gradient."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask: Tensor
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its zeros: one operator on two tensors when it is captured."""
        return weight * self.mask

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is stored where somebody assigns to the weight."""
        return torch.where(self.mask, weight, torch.zeros_like(weight))


@suggests_keywords
def apply_masks(module: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """Let weights of a module keep the zeros of masks, whatever trains it; returns the module.

    `masks` are bool tensors of the weights' shapes by the weights' names ("layer1.conv.weight").
    A weight that has a mask gets the new one in its place.  The parameters stay the same objects,
    so that an optimizer that was made before goes on with them.

    Raises SparqcError, and changes nothing, where a name or a shape does not fit the module.
    """
    inside = unwrapped(module)
    require_whole(inside, "apply_masks", "call it first, and fully_shard behind it")
    places = {name: list(_places(inside, name)) for name in masks}
    for name, mask in masks.items():
        _check(inside, name, mask, places[name])
    for name, mask in masks.items():
        for owner, leaf in places[name]:
            _register(owner, leaf, mask)
    save_plainly(inside)
    return module


@suggests_keywords
def masks(module: nn.Module) -> dict[str, Tensor]:
    """The 2:4 masks of a prepared or sparsified module, by the names of the weights."""
    module = unwrapped(module)
    if isinstance(module, Prepared):
        return module.masks
    found = {}
    for name, part in module.named_modules():
        for leaf, mask in _masked(part):
            found[f"{name}.{leaf}".removeprefix(".")] = mask.mask
    return found


@suggests_keywords
def bake(module: nn.Module) -> nn.Module:
    """Take the masks off again and leave their zeros in the weights; returns the module.

    The module then has the parameters, and the names in its state_dict, of the one that was given
    to `sparsify`.
    """
    if any(True for part in module.modules() for _ in _masked(part)):
        require_whole(unwrapped(module), "bake", GATHERED)
    for part in list(module.modules()):
        for leaf, _ in list(_masked(part)):
            _take_off(part, leaf)
    save_as_before(module)
    return module


def _masked(part: nn.Module) -> Iterator[tuple[str, Masked]]:
    if not parametrize.is_parametrized(part):
        return
    for leaf in parametrized(part):
        for one in _chain(part, leaf):
            if isinstance(one, Masked):
                yield leaf, one


def stored_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters by all their names, masked ones under the name of the weight that they make:
    what `state_dict` had before the masks."""
    found: dict[str, nn.Parameter] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        if isinstance(part, parametrize.ParametrizationList):
            continue
        alone = [leaf for leaf, _ in _masked(part) if len(_chain(part, leaf)) == 1]
        for leaf in [*dict(part.named_parameters(recurse=False)), *alone]:
            stored = _raw(part, leaf)
            if stored is not None:
                found[f"{name}.{leaf}".removeprefix(".")] = stored
    return found


def first_name(tensors: Mapping[str, Tensor], name: str) -> str:
    """The first of the names of a tensor, by which the module's own lists know it."""
    return next(key for key, tensor in tensors.items() if tensor is tensors[name])


def stored_names(module: nn.Module) -> dict[str, str]:
    """The names of weights by those under which their parameters lie behind a mask."""
    found: dict[str, str] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        for leaf, _ in _masked(part):
            if len(_chain(part, leaf)) == 1:
                stored = f"{name}.parametrizations.{leaf}.original".removeprefix(".")
                found[stored] = f"{name}.{leaf}".removeprefix(".")
    return found


def _chain(part: nn.Module, leaf: str) -> nn.ModuleList:
    return cast(nn.ModuleList, cast(nn.ModuleDict, part.parametrizations)[leaf])


def _places(module: nn.Module, name: str) -> Iterator[tuple[nn.Module, str]]:
    """Every module that holds the parameter of that name: tied weights have several."""
    path, _, leaf = name.rpartition(".")
    parts = dict(module.named_modules(remove_duplicate=False))
    wanted = _raw(parts[path], leaf) if path in parts else None
    if wanted is None:
        return
    for part in dict.fromkeys(parts.values()):
        if isinstance(part, parametrize.ParametrizationList):
            continue
        for key in [*dict(part.named_parameters(recurse=False)), *parametrized(part)]:
            if _raw(part, key) is wanted:
                yield part, key


def parametrized(part: nn.Module) -> list[str]:
    """The tensors of a module that are made from parameters of another name."""
    if not parametrize.is_parametrized(part):
        return []
    return list(cast(nn.ModuleDict, part.parametrizations))


def _raw(part: nn.Module, leaf: str) -> nn.Parameter | None:
    """The parameter itself, behind a parametrization."""
    if leaf in parametrized(part):
        return cast("nn.Parameter | None", getattr(_chain(part, leaf), "original", None))
    return part._parameters.get(leaf)


def computes(module: nn.Module, name: str) -> bool:
    """Whether a module makes the weight of that name from others of its tensors by itself, as
    torch.nn.utils.prune and Model Optimizer do where they multiply it with a mask."""
    places = list(_places(module, name))
    return not places or any(_computed(owner, leaf) for owner, leaf in places)


def _computed(owner: nn.Module, leaf: str) -> bool:
    return leaf not in parametrized(owner) and getattr(owner, leaf) is not owner._parameters[leaf]


def _check(module: nn.Module, name: str, mask: Tensor, places: list[tuple[nn.Module, str]]) -> None:
    if not places:
        known = [key for key, _ in module.named_parameters()]
        raise SparqcError(
            f"the module has no weight {name!r} to mask", hint=did_you_mean(name, known)
        )
    if any(_computed(owner, leaf) for owner, leaf in places):
        raise SparqcError(
            f"{type(places[0][0]).__name__} computes {name} by itself, and takes no mask",
            hint="take the masks of the other tool off first",
        )
    weight = cast(Tensor, _raw(*places[0]))
    if weight.shape != mask.shape:
        raise SparqcError(
            f"the mask of {name} has the shape {list(mask.shape)}, the weight {list(weight.shape)}",
            hint="these are the masks of another model",
        )


def _register(owner: nn.Module, leaf: str, mask: Tensor) -> None:
    device = cast(Tensor, _raw(owner, leaf)).device
    held = (mask != 0).to(device, copy=True)
    for name, known in _masked(owner):
        if name == leaf:
            known.mask = held
            with torch.no_grad():
                cast(Tensor, _raw(owner, leaf)).mul_(held)
            return
    weight = owner._parameters.get(leaf)
    if weight is not None:
        # torch gives the parameter new storage, which takes the hooks of DistributedDataParallel
        # off its gradient: another one stands in for it meanwhile.
        owner._parameters[leaf] = nn.Parameter(weight.detach(), weight.requires_grad)
    # `unsafe` skips a trial run; the parametrization is known to keep shape and type.
    parametrize.register_parametrization(owner, leaf, Masked(held), unsafe=True)
    if weight is not None:
        with torch.no_grad():
            weight.mul_(held)
        _chain(owner, leaf)._parameters["original"] = weight
    type(owner).__getstate__ = _pickled  # type: ignore[method-assign]  # it is its own
    owner.register_load_state_dict_pre_hook(_take_plain_names)  # type: ignore[no-untyped-call]


def _pickled(part: nn.Module) -> Any:
    raise SparqcError(
        f"{type(part).__bases__[0].__name__} has a mask on its weight, and cannot be pickled",
        hint="keep its state_dict(), by sparqc.save_state or torch.save; or take the masks off, "
        "which leaves their zeros, first: sparqc.bake(module)",
    )


def _take_plain_names(part: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Let `load_state_dict` take weights under their plain names, as a dense or a baked module has
    them: the masks stay."""
    for leaf, one in _masked(part):
        plain, stored = f"{prefix}{leaf}", f"{prefix}parametrizations.{leaf}"
        if plain in state and f"{stored}.original" not in state:
            state[f"{stored}.original"] = state.pop(plain)
            state[f"{stored}.0.mask"] = one.mask


def _take_off(part: nn.Module, leaf: str) -> None:
    if len(_chain(part, leaf)) > 1:
        raise SparqcError(
            f"{type(part).__name__}.{leaf} has other parametrizations beside its mask",
            hint="take these off first: torch.nn.utils.parametrize.remove_parametrizations",
        )
    _own_class(part)
    weight = cast(nn.Parameter, _raw(part, leaf))
    with torch.no_grad():
        for name, one in _masked(part):
            if name == leaf:
                weight.mul_(one.mask)
    parametrize.remove_parametrizations(part, leaf, leave_parametrized=False)
    if not any(_masked(part)):
        for key, hook in list(part._load_state_dict_pre_hooks.items()):
            if getattr(hook, "hook", None) is _take_plain_names:
                del part._load_state_dict_pre_hooks[key]


def _own_class(part: nn.Module) -> None:
    """A class of its own for a parametrized module: `deepcopy` lets copies share the one that torch
    made, and taking a property off it would take it off them all."""
    shared = type(part)
    members = {k: v for k, v in vars(shared).items() if k not in ("__dict__", "__weakref__")}
    part.__class__ = type(shared.__name__, shared.__bases__, members)

"""Finding the code of a model: a Python file, or a module that is installed."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from sparqc.errors import SparqcError, UsageError, did_you_mean
from sparqc.tools.model.functions import ModelFunctions
from sparqc.tools.model.own_modules import compiled, import_module
from sparqc.tools.model.user_code import UserCode, shown

#: Modules beside the last model.py, which must not answer the imports of another one.
_beside: set[str] = set()


def open_file(path: Path, name: str) -> ModelFunctions:
    """Run a file and take the functions that it offers, the model from the one called `name`.

    Raises:
        SparqcError: where the file cannot be read or is no Python, or running it fails.
        UsageError: where it has nothing of that name.
    """
    title = shown(path)
    folder = path.resolve().parent
    code = UserCode(title, folder, folder, first=True)
    module = _run(path.resolve(), title, code)
    maker = _attribute(module, name, title, hint=_how_to_offer(title))
    return ModelFunctions(
        code,
        path,
        maker,
        f"{name}() of {title}",
        inputs=_function(module, "example_inputs", title),
        batches=_function(module, "calibration", title),
        scores=_function(module, "evaluate", title),
        trainer=_function(module, "train", title),
        epochs=_function(module, "training", title),
        criterion=_function(module, "loss", title),
    )


def open_package(name: str, attribute: str) -> ModelFunctions:
    """Import a module and take the callable that makes the model.

    Modules in the working directory are found behind those that are installed.

    Raises:
        SparqcError: where importing it fails.
        UsageError: where there is no such module, or nothing of that name in it.
    """
    module, code = import_module(name)
    maker: Any = module
    # Looking up an attribute may import: packages such as transformers load their parts on demand.
    with code.running(f"looking up {attribute} in {name}"):
        for part in attribute.split("."):
            maker = _attribute(maker, part, name)
    return ModelFunctions(code, None, maker, f"{name}:{attribute}()")


# -- a file ------------------------------------------------------------------------------------


def _run(path: Path, title: str, code: UserCode) -> ModuleType:
    program = compiled(path, title)
    module = ModuleType(f"sparqc_model_{path.stem}")
    module.__file__ = str(path)
    # Dataclasses and pickle look the module of a class up here.
    sys.modules[module.__name__] = module
    _forget_beside()
    before = set(sys.modules)
    try:
        with code.running(f"running {title}"):
            exec(program, module.__dict__)
    finally:
        _beside.update(n for n in set(sys.modules) - before if _lies_in(n, path.parent))
    return module


def _forget_beside() -> None:
    for name in _beside:
        sys.modules.pop(name, None)
    _beside.clear()


def _lies_in(name: str, folder: Path) -> bool:
    """Whether the module, or the package it is in, lies directly in a folder."""
    root = sys.modules.get(name.partition(".")[0])
    places = [getattr(root, "__file__", None), *getattr(root, "__path__", ())]
    files = (Path(place) for place in places if isinstance(place, str))
    return any(file.parent == folder for file in files)


def _how_to_offer(title: str) -> str:
    return f"{title} has to offer `def model():`, which returns the network"


def _function(module: ModuleType, name: str, title: str) -> Any:
    found = getattr(module, name, None)
    if found is not None and not callable(found):
        raise SparqcError(f"{name} of {title} is a {type(found).__name__}, not a function")
    return found


def _attribute(owner: Any, name: str, title: str, hint: str = "") -> Any:
    """What has that name and can be called."""
    found = getattr(owner, name, None)
    if callable(found):
        return found
    if found is not None:
        raise UsageError(f"{name!r} of {title} is a {type(found).__name__}, not a function")
    known = [n for n in dir(owner) if not n.startswith("_")]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    raise UsageError(
        f"{title} has no {name!r}",
        hint=did_you_mean(name, known) if close or not hint else hint,
    )

"""Python of a person's own: a file or a module, and what `--import` names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from types import CodeType, ModuleType

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.model.user_code import UserCode, shown, syntax_span

#: The files that the last `import_own` loaded, by the names of their modules.
_imported: dict[str, Path] = {}


def import_own(given: Iterable[str]) -> None:
    """Import Python files (`natives.py`) and modules (`package.natives`), in order.

    The natives and passes in them are known from then on.  A file is imported under its own name,
    so that an `import natives` in the model finds the same module.

    Raises SparqcError where a file cannot be read or running it fails; UsageError where there is no
    such module, or where a file has the name of another one.
    """
    given = list(given)
    _forget_others({Path(one).resolve() for one in given})
    for one in given:
        if one.endswith(".py"):
            _import_file(Path(one))
        else:
            import_module(one)


def _forget_others(files: Collection[Path]) -> None:
    """Files of another run in this process must not stand in the way of these."""
    for name in [name for name, path in _imported.items() if path not in files]:
        sys.modules.pop(name, None)
        del _imported[name]


def _import_file(path: Path) -> None:
    title, path, name = shown(path), path.resolve(), path.stem
    if _imported.get(name) == path:
        return
    code = compiled(path, title)
    known = sys.modules.get(name)
    if known is not None:
        raise UsageError(
            f"{title} cannot be imported as {name!r}: that is {_place(known)} already",
            hint="give the file another name",
        )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with UserCode(title, path.parent, path.parent, first=True).running(f"importing {title}"):
            exec(code, module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _imported[name] = path


def _place(module: ModuleType) -> str:
    return shown(getattr(module, "__file__", None) or f"the module {module.__name__}")


def compiled(path: Path, title: str) -> CodeType:
    """The code of a Python file; SparqcError where it cannot be read or is none."""
    try:
        return compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise SparqcError(f"{title} cannot be read: {error.strerror or error}") from error
    except SyntaxError as error:
        span = syntax_span(error) if error.lineno else None
        raise SparqcError(f"{title} is no Python: {error.msg}", span=span) from error
    except ValueError as error:
        raise SparqcError(f"{title} is no Python: {error}") from error


def import_module(name: str) -> tuple[ModuleType, UserCode]:
    """A module, and whose code it is.

    Modules in the working directory are found behind those that are installed.  Raises SparqcError
    where importing it fails, UsageError where there is no such module.
    """
    root = name.partition(".")[0]
    code = UserCode(name, _folder_of(root), Path.cwd(), first=False)
    with code.running(f"importing {name}"):
        return _import(name, root), code


def _folder_of(root: str) -> Path:
    """Where the lines of a package are looked for: its folder, or the file of a single module."""
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return Path.cwd()
    places = [*(spec.submodule_search_locations or ()), spec.origin or "."]
    return Path(places[0]).resolve()


def _import(name: str, root: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == root:
            hint = f"install it where sparqc is installed: pip install {root}"
            raise UsageError(f"the package {root!r} is not installed", hint=hint) from error
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"there is no module {error.name!r}") from error
        raise

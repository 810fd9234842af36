"""What a run was asked for, so that it can be run again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparqc.base.option_fields import option_fields
from sparqc.base.reading import damaged
from sparqc.errors import UsageError
from sparqc.job.options import Options
from sparqc.tools.model.request import Request
from sparqc.tools.model.words import runs_code
from sparqc.tools.runs.trust import is_own

if TYPE_CHECKING:
    from sparqc.tools.runs.folder import RunFolder


def asked(request: Request) -> dict[str, Any]:
    """A request as plain data, without what has its default; names of files stay as given."""
    return {
        "model": request.model,
        "folder": os.getcwd(),
        **_plain(request, Request),
        "options": _plain(request.options, Options),
    }


def _plain(instance: Any, cls: type[Any]) -> dict[str, Any]:
    found = {}
    for name, declared in option_fields(cls).items():
        value = getattr(instance, name)
        if value != declared.default:
            found[name] = [*map(_text, value)] if isinstance(value, tuple) else _text(value)
    return found


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def request_of(run: RunFolder, *, reads_model: bool = True, **wishes: Any) -> Request:
    """The request of a run, with other options where they are named.

    Raises UsageError where the run does not say it, or says what no compile takes; and where it
    names Python that may not be run: its imports, and the model where that is to be read.
    """
    data = run.data.get("request")
    if not isinstance(data, dict) or not isinstance(data.get("model"), str):
        raise UsageError(f"{run.path} does not say what it was asked for", hint="write it anew")
    with damaged(f"{run.path}/run.json", error=UsageError):
        options = {**(data.get("options") or {}), **wishes}
        request = Request(data["model"], replace(Options(), **_known(options, Options)))
        request = replace(request, **_known(data, Request))
    _require_trust(run, request, reads_model)
    return request


def needs_model(run: RunFolder) -> bool:
    """Whether its graphs cannot be run again without its model."""
    from sparqc.tools.runs.stored import has_data  # brings numpy

    return not run.data.get("alone") and not has_data(run.path)


def may_run(run: RunFolder) -> bool:
    """Whether the Python that a run names may be run."""
    request = run.data.get("request")
    said_here = isinstance(request, dict) and is_own(request, run.data.get("signature"))
    return run.is_trusted or said_here


def _require_trust(run: RunFolder, request: Request, reads_model: bool) -> None:
    model = [request.model] if reads_model and runs_code(request.model) else []
    python = [*model, *request.imports]
    if python and not may_run(run):
        folder = folder_of(run)
        is_file = {one: one.partition(":")[0].endswith(".py") for one in python}
        places = [str(Path(folder, one)) if is_file[one] else one for one in python]
        raise UsageError(
            f"{run.path} was not made by this account, or was changed since, and names Python that "
            "would be run:" + "".join(f"\n    {place}" for place in places),
            hint="read it first; if you trust it, add --trust",
        )


def _known(data: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    """What the data say of the options of a class; lists are tuples there."""
    named = {name: data[name] for name in option_fields(cls) if name in data}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in named.items()}


def folder_of(run: RunFolder) -> str:
    """The folder in which a run was asked for.  UsageError where it does not say it as text."""
    asked = run.data.get("request")
    folder = asked.get("folder", ".") if isinstance(asked, dict) else "."
    if not isinstance(folder, str):
        raise UsageError(f"{run.path} does not say in which folder it ran")
    return folder


@contextmanager
def where_it_ran(run: RunFolder) -> Iterator[None]:
    """In the folder in which the run was asked for: its files are named from there."""
    folder = folder_of(run)
    if not Path(folder).is_dir():
        raise UsageError(f"{run.path} ran in {folder}, which is no folder any more")
    with chdir(folder):
        yield

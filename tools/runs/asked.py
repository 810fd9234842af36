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


def request_of(run: RunFolder, **wishes: Any) -> Request:
    """The request of a run, with other options where they are named.

    Raises UsageError where the run does not say it, or says what no compile takes.
    """
    data = run.data.get("request")
    if not isinstance(data, dict) or not isinstance(data.get("model"), str):
        raise UsageError(f"{run.path} does not say what it was asked for", hint="write it anew")
    with damaged(f"{run.path}/run.json", error=UsageError):
        options = {**(data.get("options") or {}), **wishes}
        request = Request(data["model"], replace(Options(), **_known(options, Options)))
        return replace(request, **_known(data, Request))


def _known(data: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    """What the data say of the options of a class; lists are tuples there."""
    named = {name: data[name] for name in option_fields(cls) if name in data}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in named.items()}


@contextmanager
def where_it_ran(run: RunFolder) -> Iterator[None]:
    """In the folder in which the run was asked for: its files are named from there."""
    asked = run.data.get("request")
    folder = asked.get("folder", ".") if isinstance(asked, dict) else "."
    if not isinstance(folder, str) or not Path(folder).is_dir():
        raise UsageError(f"{run.path} ran in {folder}, which is no folder any more")
    with chdir(folder):
        yield

"""Whose run a directory is: what it says to run is run without a question where it was said here.

A run names the Python that is run again with it: its model and `--import`.  Who sends a run could
name Python of their own, so it carries a signature under a key that stays with the person: an HMAC
over the folder, the model and the modules, not over what stands in the files.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_KEY_BYTES = 32
#: The fields of a request that say which code is run.
_SAYS = ("folder", "model", "imports")


def trust_option(command: F) -> F:
    """Give a click command on a run directory `--trust`, as `trust`."""
    return click.option(
        "--trust",
        is_flag=True,
        help="Run the Python that RUN names (its model, its imports), though another account made "
        "RUN or it was changed since.",
    )(command)


def signature(request: Mapping[str, Any]) -> str | None:
    """What proves later that a request was written here; the key is made where there is none.

    None where there can be no key.
    """
    key = _key() or _new_key()
    return _hmac(key, request) if key else None


def is_own(request: Mapping[str, Any], given: object) -> bool:
    """Whether a signature is that of a request, under the key of this person."""
    key = _key()
    if key is None or not isinstance(given, str):
        return False
    return hmac.compare_digest(_hmac(key, request).encode(), given.encode(errors="replace"))


def _hmac(key: bytes, request: Mapping[str, Any]) -> str:
    said = json.dumps([request.get(name) for name in _SAYS], sort_keys=True)
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()


def _key_file() -> Path | None:
    """Where the key lies; None for an account without a home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        # As the XDG Base Directory Specification says, a relative path counts as none.
        folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return folder / "sparqc" / "key"


def _key() -> bytes | None:
    """The key; None where there is none, or one that was cut."""
    path = _key_file()
    try:
        key = path.read_bytes() if path else b""
    except OSError:
        return None
    return key if len(key) == _KEY_BYTES else None


def _new_key() -> bytes | None:
    """Make the key; None where the system refuses.  Two who do so at once get the same one."""
    path = _key_file()
    if path is None:
        return None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Its files are readable by nobody else (mode 0600), and appear whole.
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.link(file.name, path)
    except OSError:
        pass
    return _key()

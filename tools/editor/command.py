"""`sparqc lsp`: the language server of pattern files, which an editor starts."""

from __future__ import annotations

import importlib.util

import click

from sparqc.errors import UsageError
from sparqc.tools.terminal.options import import_option


@click.command("lsp")
@click.option("--stdio", is_flag=True, help="Said by some editors; there is no other way.")
@import_option
def lsp_command(stdio: bool) -> None:
    """Serve editors of pattern files, over the language server protocol on stdin and stdout.

    An editor starts it: docs/editors.md says how.  It runs no code of the files that it is shown.
    """
    if importlib.util.find_spec("pygls") is None:
        raise UsageError(
            "the language server needs the package pygls, which is not installed",
            hint="pip install 'sparqc[lsp]', or pip install 'pygls>=2'",
        )
    from sparqc.tools.editor.server import serve

    serve()

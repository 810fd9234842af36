"""Reading a `.pt2` file of `torch.export.save` without running what it may have been given to run.

`torch.export.load` unpickles tensors that a file marks as pickled, loads compiled libraries,
evaluates the text of symbolic sizes, imports the modules that a nesting of inputs names, writes
names into Python code, and resolves operators by name in the module `torch`; and a program is run
when it is captured.  A file that ordinary models are saved to needs little of this, so torch gets a
copy that holds only what `sparqc.tools.model.program` allows.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import ExportedProgram

from sparqc.errors import SparqcError
from sparqc.tools.model.program.archive import checked_copy
from sparqc.tools.model.program.refusal import Refusal
from sparqc.tools.model.user_code import shown

_RESAVE = "save it again with torch.export.save(torch.export.export(model, args), 'model.pt2')"
_TRUSTED = "if you trust it, load it in a model.py: def model(): return "
_TRUSTED += "torch.export.load('…').module()"


def read_program(path: Path) -> ExportedProgram:
    """The exported program in a file.

    Raises:
        SparqcError: where the file is damaged, was written by another torch, or holds something
            that would have to be unpickled or run.
    """
    name = shown(path)
    try:
        copy = checked_copy(path)
        if copy is None:
            raise SparqcError(f"{name} holds no exported program", hint=_RESAVE)
        with _tensors_only():
            return torch.export.load(copy)
    except Refusal as refusal:
        raise SparqcError(
            f"{name} is refused: it holds {refusal}, and loading that could run code from the file",
            hint=_TRUSTED,
        ) from refusal
    except SparqcError:
        raise
    except OSError as error:
        raise SparqcError(f"{name} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise SparqcError(
            f"{name} is no file of torch.export.save, or it is damaged", hint=_RESAVE
        ) from error
    except Exception as error:
        text = str(error).partition("\n")[0][:300]
        raise SparqcError(
            f"{name} cannot be loaded by torch {torch.__version__}: {text}", hint=_RESAVE
        ) from error


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Let torch.load take tensors only, whatever its caller asks for."""
    key, logger = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", logging.getLogger("torch.export")
    before, level = os.environ.get(key), logger.level
    os.environ[key] = "1"
    # It logs the traceback of each failure, which the SparqcError says in a sentence.
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        os.environ.pop(key)
        if before is not None:
            os.environ[key] = before

"""Reading a `.pt2` file of `torch.export.save` without running what it may have been given to run.

`torch.export.load` unpickles tensors that a file marks as pickled, loads compiled libraries,
evaluates the text of symbolic sizes, and resolves operators by name in the module `torch`.  A file
that ordinary models are saved to needs none of this beyond sizes and ATen operators, so the archive
is looked through first, and what could run code is refused.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from sparqc.errors import SparqcError
from sparqc.tools.model.user_code import shown

_RESAVE = "save it again with torch.export.save(torch.export.export(model, args), 'model.pt2')"
_OPERATOR = re.compile(r"torch\.ops\.\w+\.\w+(\.\w+)?|torch\._?sym_\w+|_operator\.\w+|math\.\w+")
_QUANTIZED = "torch.ops.quantized_decomposed."
#: What the text of a symbolic size is made of: calls of sympy's classes on names and numbers.
_SIZE_NODES = (
    ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Constant, ast.Load, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_SIZE_WORD = re.compile(r"(?!.*__)[\w.]*")
_SIZE_CLASS = re.compile(r"[A-Z][A-Za-z]*|floor|ceiling")


def read_program(path: Path) -> ExportedProgram:
    """The exported program in a file.

    Raises:
        SparqcError: where the file is damaged, was written by another torch, or holds something
            that would have to be unpickled or run.
    """
    name = shown(path)
    try:
        _inspect(path, name)
        with _tensors_only():
            return torch.export.load(path)
    except SparqcError:
        raise
    except OSError as error:
        raise SparqcError(f"{name} cannot be read: {error.strerror or error}") from error
    except Exception as error:
        text = str(error).partition("\n")[0]
        raise SparqcError(
            f"{name} cannot be loaded by torch {torch.__version__}: {text}", hint=_RESAVE
        ) from error


def _inspect(path: Path, name: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, name)
    except (zipfile.BadZipFile, EOFError) as error:
        raise SparqcError(
            f"{name} is no file of torch.export.save, or it is damaged", hint=_RESAVE
        ) from error


def _check_entries(archive: zipfile.ZipFile, name: str) -> None:
    entries = {entry.partition("/")[2]: entry for entry in archive.namelist()}
    programs = [e for e in entries if re.fullmatch(r"models/[^/]+\.json", e)]
    if not programs:
        raise SparqcError(f"{name} holds no exported program", hint=_RESAVE)
    if any(e.startswith("data/aotinductor/") for e in entries):
        raise _unsafe(name, "a compiled library")
    for entry, full in entries.items():
        if re.fullmatch(r"data/(weights|constants)/.+_config\.json", entry):
            _check_payloads(json.loads(archive.read(full)), name)
    for entry in programs:
        content = json.loads(archive.read(entries[entry]))
        _check_program(content, name)
        _register(content)


def _check_payloads(config: dict[str, Any], name: str) -> None:
    for tensor, payload in config["config"].items():
        file = str(payload["path_name"])
        if payload["use_pickle"] or file.startswith(("custom_obj", "opaque_obj")):
            raise _unsafe(name, f"the pickled object {tensor!r}")


def _check_program(content: Any, name: str) -> None:
    for key, text in _texts(content):
        if key == "target" and not _OPERATOR.fullmatch(text):
            raise _unsafe(name, f"a call of {text!r}, which is no operator")
        if key == "expr_str" and not _is_size(text):
            raise _unsafe(name, f"the size {text!r}, which is no arithmetic")


def _register(content: Any) -> None:
    """Let torch know the operators of its quantization of exported programs, which come with it
    but are registered by an import of their own."""
    if any(text.startswith(_QUANTIZED) for _, text in _texts(content)):
        import torch.ao.quantization.fx._decomposed  # noqa: F401


def _is_size(text: str) -> bool:
    """Whether the text is arithmetic, as in "FloorDiv(Symbol('s0', integer=True), Integer(2))"."""
    return all(_is_size_node(node) for node in ast.walk(ast.parse(text, mode="eval")))


def _is_size_node(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and bool(_SIZE_CLASS.fullmatch(node.func.id))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(_SIZE_WORD.fullmatch(node.value))
    return isinstance(node, _SIZE_NODES)


def _texts(content: Any) -> Iterator[tuple[str, str]]:
    """Every operator target and symbolic size in the JSON of a program."""
    stack = [content]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            stack += item.values()
            # Nodes have a target and inputs; other things named "target" are no calls.
            for key in ("expr_str", *(("target",) if "inputs" in item else ())):
                if isinstance(item.get(key), str):
                    yield key, item[key]


def _unsafe(name: str, what: str) -> SparqcError:
    return SparqcError(
        f"{name} is refused: it holds {what}, and loading that could run code from the file",
        hint="if you trust it, load it in a model.py: def model(): return "
        "torch.export.load('…').module()",
    )


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

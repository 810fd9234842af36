"""Calling a native: arguments as its annotations want them, and its failures as errors."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparqc.declared.natives import Native, Parameter
from sparqc.declared.slow import told_when_slow
from sparqc.errors import PatternError, Span, SparqcError
from sparqc.ir.constants import constant_value
from sparqc.ir.graph import Value
from sparqc.ir.vocabulary.table import OperatorTable
from sparqc.lang.ast import Expr, NativeCall
from sparqc.lang.format.printer import format_expr
from sparqc.match.terms import Term, Undetermined, Unknown, show


class NativeFailure(SparqcError):
    """A native broke off with an exception of Python, or gave something else than it says: a
    mistake in it, not a refusal."""


def call_native(
    native: Native,
    call: NativeCall,
    arguments: Sequence[Term],
    table: OperatorTable,
    rule: str,
    span: Span | None,
) -> Any:
    """The result of `@native(arguments)`, which a rule writes as `call`; lists come as tuples.

    Raises Undetermined where an argument is not known or not constant, PatternError for the wrong
    number of arguments, NativeFailure where the native breaks off, and the SparqcError with which
    it refuses.
    """
    if not native.takes(len(arguments)):
        raise PatternError(
            f"{rule}: @{native.name} takes {_counts(native)} arguments, not {len(arguments)}",
            span=span,
        )
    given = [
        _convert(term, native.parameter(index), call.arguments[index], table)
        for index, term in enumerate(arguments)
    ]

    def called() -> str:
        at = f" ({span})" if span else ""
        return f"@{native.name} ({native.place}), called by {rule}{at}"

    try:
        with told_when_slow(lambda seconds: f"{called()}, has run for {seconds:.0f} s"):
            result = native.function(*given)
    except SparqcError:
        raise
    except KeyboardInterrupt as stop:
        stop.add_note(f"it was in {called()}")
        raise
    except Exception as error:
        raise NativeFailure(
            f"{rule}: @{native.name} failed at {_raised_at(native, error)}: "
            f"{type(error).__name__}: {error}",
            span=span,
            hint="natives must not fail: this is a mistake in the function or in how it is called",
        ) from error
    if not native.gives(result):
        raise NativeFailure(
            f"{rule}: @{native.name} ({native.place}) gave {_told(result)}, and its annotation "
            f"says {native.result_name}",
            span=span,
            hint="mend the function or its annotation",
        )
    return tuple(result) if isinstance(result, list) else result


def _raised_at(native: Native, error: Exception) -> str:
    """The deepest line of the native's own file that an exception came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if native.span and f.filename == native.span.file]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else native.place


def _told(result: Any) -> str:
    """A result in few letters: an array by its shape."""
    if isinstance(result, np.ndarray):
        return f"an array {result.dtype}{list(result.shape)}"
    text = repr(result)
    return f"{type(result).__name__} {text if len(text) <= 60 else text[:60] + '…'}"


def _counts(native: Native) -> str:
    if native.most is None:
        return f"at least {native.least}"
    return str(native.most) if native.least == native.most else f"{native.least}-{native.most}"


def _convert(term: Term, parameter: Parameter, written: Expr, table: OperatorTable) -> Any:
    """An argument as its parameter takes it; `written` is what the rule says in its place."""
    if isinstance(term, Unknown):
        raise Undetermined(repr(term))
    if isinstance(term, tuple):
        return tuple(_convert(item, parameter, written, table) for item in term)
    if parameter.kind == "array":
        return _array(term, parameter, written, table)
    if term is None and parameter.kind == "value" and not parameter.optional:
        raise Undetermined(f"{format_expr(written)} is absent")
    return term


def _array(term: Any, parameter: Parameter, written: Expr, table: OperatorTable) -> Any:
    if isinstance(term, Value):
        array = constant_value(term, table)
        if array is None:  # not none: the native would take the operand for absent
            raise Undetermined(f"{show(term)} is not constant")
        return array
    if term is None and not parameter.optional:
        raise Undetermined(f"{format_expr(written)} is absent")
    return None if term is None else np.asarray(term)

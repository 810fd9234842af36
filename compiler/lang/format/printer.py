"""Expressions, calls and statements as text, each on one line."""

from __future__ import annotations

import math

from sparqc.lang.ast import (
    AttributePattern,
    Binary,
    Bind,
    BuildCall,
    CallPattern,
    Constraint,
    Expr,
    Field,
    Index,
    ListExpr,
    Literal,
    LiteralValue,
    MatchStatement,
    Name,
    NativeCall,
    Number,
    Pairing,
    Path,
    QuantizedOperand,
    RewriteStatement,
    Unary,
)
from sparqc.lang.parse.strings import quote

#: How tightly each operator binds; a looser operand stands in parentheses.
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _POSTFIX = range(1, 9)
_PRECEDENCE = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT,
               "//": _PRODUCT, "%": _PRODUCT}  # fmt: skip


def format_scalar(value: LiteralValue | tuple[LiteralValue, ...]) -> str:
    """A literal: `none`, `true`, `0.5`, `"nearest"`, `[1, 1]`."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(format_scalar, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"  # reads back as an infinity
    return repr(value)


def format_expr(expr: Expr) -> str:
    """An expression, with the parentheses it needs and no others."""
    return _expr(expr, 0)


def _expr(expr: Expr, level: int) -> str:
    """An expression where one that binds looser than `level` needs parentheses."""
    text, binds = _bound(expr)
    return f"({text})" if binds < level else text


def _bound(expr: Expr) -> tuple[str, int]:
    """An expression, and how tightly its outermost operator binds."""
    match expr:
        case Name():
            return expr.id, _POSTFIX
        case Literal():
            return format_scalar(expr.value), _SIGN if _negative(expr.value) else _POSTFIX
        case ListExpr():
            return f"[{', '.join(map(format_expr, expr.items))}]", _POSTFIX
        case Field():
            return f"{_expr(expr.of, _POSTFIX)}.{expr.name}", _POSTFIX
        case Index():
            return f"{_expr(expr.of, _POSTFIX)}[{format_expr(expr.index)}]", _POSTFIX
        case NativeCall():
            return f"@{expr.name}({', '.join(map(format_expr, expr.arguments))})", _POSTFIX
        case Unary():
            return _unary(expr)
        case Path():
            return _path(expr), _COMPARISON
    return _binary(expr)


def _negative(value: LiteralValue) -> bool:
    return isinstance(value, int | float) and math.copysign(1, value) < 0


def _unary(expr: Unary) -> tuple[str, int]:
    if expr.op == "-":
        return f"-{_expr(expr.operand, _SIGN)}", _SIGN
    inner = expr.operand
    if isinstance(inner, Binary) and inner.op == "in":
        return f"{_expr(inner.left, _SUM)} not in {_expr(inner.right, _SUM)}", _COMPARISON
    return f"not {_expr(inner, _NOT)}", _NOT


def _path(expr: Path) -> str:
    only = ["only"] if expr.only else []
    words = [_expr(expr.of, _SUM)]
    words += ["comes", *only, "from"] if expr.comes_from else ["reaches", *only]
    words += [_kinds(expr.kinds)]
    words += ["through", _kinds(expr.through)] if expr.through else []
    return " ".join(words)


def _kinds(kinds: tuple[str, ...]) -> str:
    return kinds[0] if len(kinds) == 1 else f"{{{', '.join(kinds)}}}"


def _binary(expr: Binary) -> tuple[str, int]:
    binds = _PRECEDENCE.get(expr.op, _COMPARISON)
    if binds != _COMPARISON:
        left, right = _expr(expr.left, binds), _expr(expr.right, binds + 1)
        return f"{left} {expr.op} {right}", binds
    left, right = _expr(expr.left, _SUM), _expr(expr.right, _SUM)
    if expr.op in ("==", "!=") and expr.right == Literal(None):
        return f"{left} {'is' if expr.op == '==' else 'is not'} none", binds
    return f"{left} {expr.op} {right}", binds


# -- patterns ------------------------------------------------------------------------------------


def format_constraint(constraint: Constraint) -> str:
    """`const f16|f32[n, 3, ...]`."""
    words = ["const"] if constraint.const else []
    words += ["|".join(constraint.dtypes)] if constraint.dtypes else []
    dims = "" if constraint.dims is None else f"[{', '.join(map(str, constraint.dims))}]"
    return " ".join(words) + dims


def format_bind(bind: Bind) -> str:
    """`b?: const`."""
    name = f"{bind.name}?" if bind.optional else bind.name
    return f"{name}: {format_constraint(bind.constraint)}" if bind.constraint else name


def _attribute(attribute: AttributePattern) -> str:
    return f"{attribute.name}={attribute.bind or format_scalar(attribute.literal)}"


def _operand(operand: Bind | Number | CallPattern) -> str:
    if isinstance(operand, Bind):
        return format_bind(operand)
    return format_scalar(operand.value) if isinstance(operand, Number) else _call(operand)


def _call(call: CallPattern) -> str:
    heads = ", ".join(call.heads)
    words = ["maybe"] if call.maybe else []
    words += ["ordered"] if call.ordered else []
    arguments = [_operand(o) for o in call.operands]
    arguments += ["..."] if call.open else []
    arguments += [f"*{call.rest}"] if call.rest else []
    arguments += [_attribute(a) for a in call.attributes]
    head = heads if len(call.heads) == 1 else f"{{{heads}}}"
    return " ".join([*words, f"{head}({', '.join(arguments)})"])


def format_match(statement: MatchStatement) -> str:
    """`y = shared nn.relu(x)`."""
    shared = "shared " if statement.shared else ""
    return f"{', '.join(statement.targets)} = {shared}{_call(statement.call)}"


def format_quantized(operand: QuantizedOperand) -> str:
    """`output y per tensor`."""
    output = "output " if operand.output else ""
    scale = f" scale {format_expr(operand.scale)}" if operand.scale is not None else ""
    return f"{output}{', '.join(operand.names)} per {operand.granularity}{scale}"


def format_pairing(pairing: Pairing) -> str:
    """`x with depthwise`, without its reason."""
    return f"{pairing.operand} with {pairing.fusion}"


# -- rewrites ------------------------------------------------------------------------------------


def _built(expr: BuildCall | Expr) -> str:
    return _build(expr) if isinstance(expr, BuildCall) else format_expr(expr)


def _build(call: BuildCall) -> str:
    arguments = [_built(o) for o in call.operands]
    arguments += [f"*{call.rest}"] if call.rest else []
    arguments += [f"{name}={format_expr(value)}" for name, value in call.attributes]
    text = f"{'maybe ' if call.maybe else ''}{call.op}({', '.join(arguments)})"
    return f"{text} like {call.like}" if call.like else text


def format_rewrite(statement: RewriteStatement) -> str:
    """`y = nn.conv(x, w2, b2) like c`, `y = nn.neg(x) for each reader`."""
    each = " for each reader" if statement.each else ""
    return f"{', '.join(statement.targets)} = {_built(statement.expr)}{each}"

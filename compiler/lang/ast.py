"""The values that a pattern file is parsed into: declarations, patterns and expressions.

Everything is frozen and compares by content (spans excepted), so that a formatter can check that
it changed nothing and the Python decorator can build the very same rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal as OneOf

from sparqc.errors import Span
from sparqc.ir.types import Level

LiteralValue = None | bool | int | float | str


def _span() -> Span | None:
    return field(default=None, compare=False, repr=False)


# -- patterns ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constraint:
    """What a binding demands of its value: `const f16|f32[n, 3, ...]`.

    `dims` is None without brackets.  Each entry is an int (equal), a name (binds the dimension, or
    must equal what it bound before), "_" (anything) or "..." (any number of dimensions; once).
    """

    const: bool = False
    dtypes: tuple[str, ...] = ()
    dims: tuple[int | str, ...] | None = None


@dataclass(frozen=True)
class Bind:
    """A name in an operand slot: binds the value, or must be the value it bound before.

    `b?` may be absent (binds None).  A name that a statement of the block defines stands for that
    statement's value.  The name "_" binds nothing.
    """

    name: str
    optional: bool = False
    constraint: Constraint | None = None
    span: Span | None = _span()


@dataclass(frozen=True)
class Number:
    """A literal in an operand slot: a constant whose every element equals it exactly in its dtype
    (a scalar, or a tensor filled with it)."""

    value: int | float | bool
    span: Span | None = _span()


@dataclass(frozen=True)
class AttributePattern:
    """`k=literal` constrains an attribute, `k=name` binds it (or compares with what it bound)."""

    name: str
    literal: LiteralValue | tuple[LiteralValue, ...] = None
    bind: str | None = None
    span: Span | None = _span()


@dataclass(frozen=True)
class CallPattern:
    """`maybe ordered {a, b}(x, w: const, ..., k=v)`, in a statement or nested in an operand slot.

    Operands are closed: an operand slot that is neither named nor optional-and-absent fails the
    match, unless the pattern is `open` (ends in `...`) or has a `rest` (`*xs`, which binds the
    tuple of the remaining operands; for a variadic operand its values).
    """

    heads: tuple[str, ...]  # one operator or family, or several in braces
    operands: tuple[Bind | Number | CallPattern, ...] = ()
    open: bool = False
    rest: str | None = None
    attributes: tuple[AttributePattern, ...] = ()
    maybe: bool = False
    ordered: bool = False
    span: Span | None = _span()


@dataclass(frozen=True)
class MatchStatement:
    """`y, z = call`: names for the outputs of one matched operator.

    `shared` (written before the call) lets the operator be read outside the match too.
    """

    targets: tuple[str, ...]
    call: CallPattern
    shared: bool = False
    span: Span | None = _span()


# -- expressions -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Name:
    """A bound name: a value, an attribute, a dimension, a tuple of values, or absent (none)."""

    id: str
    span: Span | None = _span()


@dataclass(frozen=True)
class Literal:
    """A number, a string, true, false or none."""

    value: LiteralValue
    span: Span | None = _span()


@dataclass(frozen=True)
class ListExpr:
    """`[a, b]`."""

    items: tuple[Expr, ...]
    span: Span | None = _span()


@dataclass(frozen=True)
class Field:
    """`x.shape`, `w.readers`, `c.groups`: a property of a value, else an attribute of the operator
    that defines it; `knob.attention` is what a person chose."""

    of: Expr
    name: str
    span: Span | None = _span()


@dataclass(frozen=True)
class Index:
    """`w.shape[1]`, also negative."""

    of: Expr
    index: Expr
    span: Span | None = _span()


@dataclass(frozen=True)
class Unary:
    """`not a`, `-a`."""

    op: OneOf["not", "-"]
    operand: Expr
    span: Span | None = _span()


@dataclass(frozen=True)
class Binary:
    """Arithmetic `+ - * / // %`, comparison `== != < <= > >= in`, and `and`, `or`."""

    op: str
    left: Expr
    right: Expr
    span: Span | None = _span()


@dataclass(frozen=True)
class NativeCall:
    """`@name(a, b)`: a registered pure Python function."""

    name: str
    arguments: tuple[Expr, ...]
    span: Span | None = _span()


#: Stands for every operator among the kinds that a path goes through.
ANY_OPERATOR = "..."
#: The words for what stands at the ends of a graph: where paths come from, and where they lead.
FRONT, BACK = ("input", "const"), ("output",)


@dataclass(frozen=True)
class Path:
    """`y reaches nn.softmax through {view, nn.add}`, `x comes from nn.cast`.

    Whether operators lead from a value to one of the `kinds`, along its readers or, with
    `comes_from`, along what gives it; those in between are all of `through`.  A kind is an operator
    or a family; `output`, `input` and `const` stand for the ends of the graph.  To a family with
    parameters, and through it, the path goes by their values alone.  With `only` all ways that lead
    on from the value end there, and there is one.
    """

    of: Expr
    kinds: tuple[str, ...]
    through: tuple[str, ...] = ()
    comes_from: bool = False
    only: bool = False
    span: Span | None = _span()

    @property
    def ends(self) -> tuple[str, ...]:
        """The kinds that stand for the end of the graph to which the path goes."""
        return FRONT if self.comes_from else BACK


Expr = Name | Literal | ListExpr | Field | Index | Unary | Binary | NativeCall | Path


@dataclass(frozen=True)
class Template:
    """A sentence with expressions in braces: "channels: {w.shape}"; behind an `else` it may have a
    name, which a finding of `sparqc check` that it speaks of is called by."""

    text: str  # as written
    parts: tuple[str | Expr, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class Condition:
    """`expression else name "reason"`; the reason is shown where the condition does not hold.

    `never "reason" if expression` is the condition that the expression does not hold, and `never
    "reason"` one that nothing meets: in an `int8` block they hold for a file that asks for INT8 all
    the same, where others say what is worth its while.
    """

    expr: Expr
    reason: Template | None = None
    span: Span | None = _span()
    never: bool = False

    @property
    def id(self) -> str:
        """What a finding of a graph that does not keep to it is called; "" without a name."""
        return self.reason.id if self.reason else ""


# -- rewrites ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuildCall:
    """`op(a, b, k=expr) like c` in a rewrite; operands are expressions or nested calls.

    With `maybe`, the operator is built only where the `maybe` of the same operator was taken in
    the match, and otherwise its first operand stands for it.  `like` carries attributes not given
    here, the name, the origin, of the operator that defines the named value.
    """

    op: str
    operands: tuple[Expr | BuildCall, ...] = ()
    attributes: tuple[tuple[str, Expr], ...] = ()
    rest: str | None = None  # *xs
    like: str | None = None
    maybe: bool = False
    span: Span | None = _span()


@dataclass(frozen=True)
class RewriteStatement:
    """`w2, b2 = @f(w, b)` / `y = op(...) like c` / `y = x`.

    A target that the match bound is replaced in the graph; another is a new local name.  With
    `y = op(...) for each reader`, each operator that reads `y` reads one of its own.
    """

    targets: tuple[str, ...]
    expr: BuildCall | Expr
    each: bool = False
    span: Span | None = _span()


# -- declarations ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """An `example` block: statements of dump text; what becomes of them, or why they stay, or what
    a check says of them."""

    before: str
    after: str | None = None
    rejects: str | None = None
    finds: str | None = None
    span: Span | None = _span()


@dataclass(frozen=True)
class Declaration:
    """What all kinds share."""

    name: str
    match: tuple[MatchStatement, ...]
    doc: str = ""
    levels: tuple[Level, ...] = ("fx", "onnx")
    #: A prefix of the target profiles it is for ("x" is for "x-10" and "x-11"); None: for any.
    target: str | None = None
    where: tuple[Condition, ...] = ()
    examples: tuple[Example, ...] = ()
    source: str = ""  # the reference it rests on
    span: Span | None = _span()

    def is_for(self, level: Level | None, target: str | None) -> bool:
        """Whether it holds at a level and for a target profile; None: for any of them."""
        if level is not None and level not in self.levels:
            return False
        wanted = self.target
        return wanted in (None, target) or target is None or target.startswith(f"{wanted}-")


@dataclass(frozen=True)
class OpDecl(Declaration):
    """`op nn.silu(x): y = …` - another spelling of `name`, whose operands are `parameters`.

    Several declarations of one name are alternatives; a name that is not in the operator table is
    a family.  Fields and attributes asked of the result are looked up on the operators of the
    spelling, the root first.
    """

    parameters: tuple[Bind, ...] = ()
    open: bool = False  # parameters end in `...`


@dataclass(frozen=True)
class RuleDecl(Declaration):
    """`rule` - match, conditions, rewrite."""

    rewrite: tuple[RewriteStatement, ...] = ()
    preserves: OneOf["exact", "close", "lossy"] = "exact"
    decreases: str | None = None


@dataclass(frozen=True)
class QuantizedOperand:
    """A line of an `int8` block: `x, r per tensor`, `w per channel`, `output y per tensor`, or
    `p per tensor scale 1 / 127`; `else name "what is so where it is float"`."""

    names: tuple[str, ...]
    granularity: OneOf["tensor", "channel"] = "tensor"
    #: The quantizer stands behind the value that the fusion produces.
    output: bool = False
    #: A scale that is known beforehand, so that nothing is calibrated.
    scale: Expr | None = None
    #: What is to be said of a graph in which the operand is float, though the kernel runs in INT8.
    reason: Template | None = None
    span: Span | None = _span()


@dataclass(frozen=True)
class Pairing:
    """`x with depthwise_act else "reason"`, a line of an `int8` block: this kernel and the one of
    that fusion which gives `operand` run in the same precision."""

    operand: str
    fusion: str
    reason: Template | None = None
    span: Span | None = _span()


@dataclass(frozen=True)
class FusionDecl(Declaration):
    """`fusion` - what the target runs as one kernel.

    `int8_where` are the conditions of the `int8` block: where one fails, the fusion still is one
    kernel, but in float, for that reason.  `sparse` names the operand that may be 2:4, and
    `sparse_outputs` what such a kernel wants quantized behind it; `pays` are the conditions under
    which that is likely to be faster.  A kernel takes in those of the fusions
    that `joins` names where they give one of its inputs and nobody else reads them.  `like` is a
    fusion whose `int8`, `sparse` and `pays` blocks are this one's too, in front of its own lines; a
    line of its own for an operand takes the place of the other's, and says what the other says
    where it says nothing.  Without a `match` it is a case of that fusion: it has its `match` and
    `where` as well, and replaces it.  Where one of those that it `replaces` fits the same
    operators, this one counts; so it does for a share.
    """

    like: str | None = None
    replaces: tuple[str, ...] = ()
    int8: tuple[QuantizedOperand, ...] = ()
    pairings: tuple[Pairing, ...] = ()
    int8_where: tuple[Condition, ...] = ()
    sparse: str | None = None
    sparse_outputs: tuple[QuantizedOperand, ...] = ()
    sparse_where: tuple[Condition, ...] = ()
    pays: tuple[Condition, ...] = ()
    joins: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[Template | None, ...]:
        """What its lines say where they do not hold, those of `where` left out."""
        lines: tuple[QuantizedOperand | Pairing | Condition, ...] = (
            *self.int8, *self.pairings, *self.int8_where, *self.sparse_outputs,
            *self.sparse_where, *self.pays,
        )  # fmt: skip
        return tuple(line.reason for line in lines)

    def resolved(self, base: FusionDecl) -> FusionDecl:
        """This fusion with the lines of the one that it is `like`."""
        own = {name for line in self.int8 for name in line.names}
        inherited = tuple(line for line in base.int8 if own.isdisjoint(line.names))
        known = {name: line.reason for line in base.int8 for name in line.names}
        lines = (replace(q, reason=q.reason or known.get(q.names[0])) for q in self.int8)
        is_case = not self.match
        return replace(
            self,
            like=base.like,
            match=self.match or base.match,
            where=(base.where if is_case else ()) + self.where,
            replaces=((base.name, *base.replaces) if is_case else ()) + self.replaces,
            int8=(*inherited, *lines),
            pairings=base.pairings + self.pairings,
            int8_where=base.int8_where + self.int8_where,
            sparse=self.sparse or base.sparse,
            sparse_outputs=base.sparse_outputs + self.sparse_outputs,
            sparse_where=base.sparse_where + self.sparse_where,
            pays=base.pays + self.pays,
            joins=base.joins + self.joins,
        )


@dataclass(frozen=True)
class ShareDecl(Declaration):
    """`share` - the named values of the match have one scale; `reason` is what is to be said of a
    graph in which they have not.  `like` is a share whose `scale` line is this one's too."""

    like: str | None = None
    scale: tuple[str, ...] = ()
    reason: Template | None = None

    def resolved(self, base: ShareDecl) -> ShareDecl:
        """This share with the line of the one that it is `like`."""
        return replace(
            self,
            like=base.like,
            scale=self.scale or base.scale,
            reason=self.reason or base.reason,
        )


#: What a `precision` says of an operator: that it stays in FP32; that it does where all that it
#: computes with comes from integers; that for it the end of FP16's range is as good as any number
#: beyond it; that such a number may pass through it on the way there; that all that it matches with
#: one `x` have one type.
PrecisionRole = OneOf[
    "keeps fp32", "keeps integers", "takes bounds", "carries bounds", "shares type"
]


@dataclass(frozen=True)
class PrecisionDecl(Declaration):
    """`precision` - what FP16 is to the matched operators, where the float ones run in it; the
    description is the reason that people see."""

    role: PrecisionRole = "keeps fp32"


@dataclass(frozen=True)
class CheckDecl(Declaration):
    """`check` - a match that is a finding; its `rewrite`, where there is one, cures it."""

    grade: OneOf["error", "slow", "note"] = "error"
    message: Template = Template("")
    cure: Template | None = None
    rewrite: tuple[RewriteStatement, ...] = ()
    preserves: OneOf["exact", "close", "lossy"] = "exact"
    decreases: str | None = None

    @property
    def repair(self) -> RuleDecl | None:
        """The rule that cures what the check finds; None where it cannot."""
        if not self.rewrite:
            return None
        return RuleDecl(
            self.name,
            self.match,
            self.doc,
            self.levels,
            self.target,
            self.where,
            self.examples,
            self.source,
            self.span,
            rewrite=self.rewrite,
            preserves=self.preserves,
            decreases=self.decreases,
        )


@dataclass(frozen=True)
class PatternFile:
    """A parsed file: its declarations in order, and its text."""

    path: str
    declarations: tuple[Declaration, ...]
    text: str = field(default="", compare=False, repr=False)
    doc: str = ""

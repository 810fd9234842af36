"""Random declarations, such as a parser could give them."""

from typing import get_args

from hypothesis import strategies as st

from sparqc.lang.ast import (
    AttributePattern,
    Binary,
    Bind,
    BuildCall,
    CallPattern,
    CheckDecl,
    Condition,
    Constraint,
    Example,
    Field,
    FusionDecl,
    Index,
    ListExpr,
    Literal,
    MatchStatement,
    Name,
    NativeCall,
    Number,
    OpDecl,
    Pairing,
    Path,
    PatternFile,
    PrecisionDecl,
    PrecisionRole,
    QuantizedOperand,
    RewriteStatement,
    RuleDecl,
    ShareDecl,
    Template,
    Unary,
)
from sparqc.lang.format.printer import format_expr
from sparqc.lang.parse.keywords import DTYPES

# Words that are reserved elsewhere, or begin with a reserved word, are names like others.
names = st.sampled_from(
    ["x", "y", "w2", "_", "match", "where", "output", "per", "on", "scale", "index", "inner",
     "isnt", "notes", "orders", "before", "rule", "message", "Maybe", "e1"]
)  # fmt: skip
operators = st.sampled_from(["nn.conv", "q.qdq", "activation", "onnx.com.microsoft.Gelu", "match"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
sentences = st.one_of(texts, st.lists(st.sampled_from(["word", "{{", "a  b"])).map(" ".join))
integers = st.integers(-(10**20), 10**20)
floats = st.floats(allow_nan=False)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)


def some(strategy: st.SearchStrategy, least: int = 0, most: int = 3) -> st.SearchStrategy:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


# -- expressions -----------------------------------------------------------------------------------


def is_number(expr: object) -> bool:
    value = expr.value if isinstance(expr, Literal) else None
    return isinstance(value, int | float) and not isinstance(value, bool)


kinds = st.just(("...",)) | st.lists(operators, min_size=1, max_size=3).map(tuple)


def larger(inner: st.SearchStrategy) -> st.SearchStrategy:
    operator = st.sampled_from(["+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=",
                                "in", "and", "or"])  # fmt: skip
    return st.one_of(
        st.builds(Field, inner, names),
        st.builds(Index, inner, inner),
        st.builds(Unary, st.just("not"), inner),
        # A minus in front of a number belongs to the number.
        st.builds(Unary, st.just("-"), inner.filter(lambda e: not is_number(e))),
        st.builds(Binary, operator, inner, inner),
        st.builds(ListExpr, some(inner)),
        st.builds(NativeCall, names, some(inner)),
        st.builds(Path, inner, kinds, st.just(()) | kinds, st.booleans(), only=st.booleans()),
    )


expressions = st.recursive(
    st.one_of(st.builds(Name, names), st.builds(Literal, scalars)), larger, max_leaves=6
)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Sentences whose parts alternate between text and expressions."""
    pieces = draw(st.lists(st.one_of(texts.filter(bool), expressions), max_size=4))
    parts: list = []
    for piece in pieces:
        if parts and isinstance(piece, str) and isinstance(parts[-1], str):
            parts[-1] += piece
        else:
            parts.append(piece)
    written = [
        p.replace("{", "{{").replace("}", "}}") if isinstance(p, str) else f"{{{format_expr(p)}}}"
        for p in parts
    ]
    return Template("".join(written), tuple(parts))


never = st.builds(
    lambda told, reason: Condition(
        Unary("not", told) if told else Literal(False), reason, never=True
    ),
    st.none() | expressions,
    templates(),
)
conditions = st.builds(Condition, expressions, st.none() | templates()) | never

# -- patterns --------------------------------------------------------------------------------------

dims = some(st.one_of(names, st.integers(0, 512))).flatmap(
    lambda d: st.sampled_from([d, (*d, "..."), ("...", *d)])
)
constraints = st.builds(
    Constraint, st.booleans(), some(st.sampled_from(DTYPES), most=2), st.none() | dims
).filter(lambda c: c != Constraint())
binds = st.builds(Bind, names, st.booleans(), st.none() | constraints)
numbers = st.builds(Number, st.one_of(st.booleans(), integers, floats))
attributes = st.one_of(
    st.builds(AttributePattern, names, bind=names),
    st.builds(AttributePattern, names, scalars | some(scalars)),
)


def calls(operands: st.SearchStrategy) -> st.SearchStrategy:
    ends = st.sampled_from([(False, None), (True, None), (False, "rest")])
    return st.builds(
        lambda heads, operands, end, attributes, maybe, ordered: CallPattern(
            heads, operands, *end, attributes, maybe, ordered
        ),
        some(operators, least=1),
        some(operands),
        ends,
        st.lists(attributes, max_size=2, unique_by=lambda a: a.name).map(tuple),
        st.booleans(),
        st.booleans(),
    )


patterns = calls(st.recursive(binds | numbers, calls, max_leaves=4))
statements = st.builds(MatchStatement, some(names, least=1), patterns, st.booleans())

# -- rewrites --------------------------------------------------------------------------------------


def builds(operands: st.SearchStrategy) -> st.SearchStrategy:
    given_attributes = st.lists(st.tuples(names, expressions), max_size=2, unique_by=lambda a: a[0])
    return st.builds(
        BuildCall, operators, some(operands), given_attributes.map(tuple), st.none() | names,
        st.none() | names, st.booleans(),
    )  # fmt: skip


built = st.recursive(expressions, builds, max_leaves=4)
rewrites = st.builds(RewriteStatement, some(names, least=1), built, st.booleans())

# -- declarations ----------------------------------------------------------------------------------

raw_lines = st.sampled_from(
    ["y = nn.relu(x)", "    deeper", "", "# kept", 'w: const f32[2] = [1.0, 2.0]  # "']
)
raw_texts = st.lists(raw_lines, max_size=3).map(lambda lines: "\n".join(["x: f32[1]", *lines])
                                                .rstrip())  # fmt: skip
examples = st.one_of(
    st.builds(Example, raw_texts, raw_texts),
    st.builds(lambda before, reason: Example(before, None, reason), raw_texts, sentences),
)
findings = st.builds(Example, raw_texts, st.none() | raw_texts, st.none(), sentences)
common = {
    "name": st.sampled_from(["fold", "drop_it", "match", "on"]),
    "match": some(statements, least=1),
    "doc": sentences,
    "levels": st.sampled_from([("fx",), ("onnx",), ("fx", "onnx")]),
    "target": st.sampled_from([None, "gpu", "gpu-8.6", "gpu-rt"]),
    "where": some(conditions),
    "source": sentences,
}
quantized = st.builds(
    QuantizedOperand,
    some(names, least=1),
    st.sampled_from(["tensor", "channel"]),
    st.booleans(),
    st.none() | expressions,
)
pairings = st.builds(Pairing, names, st.sampled_from(["conv", "with"]), st.none() | templates())
fusion_names = st.sampled_from(["conv", "with", "joins"])


def with_sparse(fusion: FusionDecl) -> FusionDecl:
    """Conditions of a `sparse` block need the block."""
    return fusion if fusion.sparse else FusionDecl(**{**vars(fusion), "sparse_where": ()})


no_examples = st.just(())
any_examples = some(examples, most=2)


def declarations(examples: st.SearchStrategy = any_examples) -> st.SearchStrategy:
    """Declarations of all kinds."""
    checked = some(findings, most=1) if examples is any_examples else examples
    shared = {**common, "examples": examples}
    return st.one_of(
        st.builds(OpDecl, **{**shared, "name": operators}, parameters=some(binds),
                  open=st.booleans()),
        st.builds(RuleDecl, **shared, rewrite=some(rewrites, least=1),
                  preserves=st.sampled_from(["exact", "close", "lossy"]),
                  decreases=st.sampled_from([None, "depth", "count(nn.conv, q.qdq)"])),
        st.builds(FusionDecl, **shared, int8=some(quantized), int8_where=some(conditions),
                  sparse=st.none() | names, sparse_where=some(conditions),
                  pairings=some(pairings), pays=some(conditions), joins=some(fusion_names),
                  like=st.none() | fusion_names).map(with_sparse),
        st.builds(ShareDecl, **shared, scale=some(names, least=1)),
        st.builds(PrecisionDecl, **shared, role=st.sampled_from(get_args(PrecisionRole))),
        st.builds(CheckDecl, **{**shared, "examples": examples | checked},
                  grade=st.sampled_from(["error", "slow", "note"]),
                  message=templates(), cure=st.none() | templates()),
        st.builds(CheckDecl, **shared, message=templates(), rewrite=some(rewrites, least=1),
                  preserves=st.sampled_from(["exact", "close", "lossy"])),
    )  # fmt: skip


def files(examples: st.SearchStrategy = any_examples) -> st.SearchStrategy:
    """Whole files."""
    return st.builds(PatternFile, st.just("<string>"), some(declarations(examples)), doc=sentences)

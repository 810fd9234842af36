"""The words of the language: kinds, blocks, levels, types, and how each kind of line is written."""

from __future__ import annotations

from typing import Final, get_args

from sparqc.ir.types import Level

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
PRESERVES: Final = ("exact", "close", "lossy")
GRADES: Final = ("error", "slow", "note")
#: The clauses of a `precision`, of which it has one, each with its words.
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "keeps": ("fp32", "integers"),
    "takes": ("bounds",),
    "carries": ("bounds",),
    "shares": ("type",),
}
GRANULARITIES: Final = ("tensor", "channel")
DTYPES: Final = ("f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool")

#: Blocks that every kind of declaration may have.
_COMMON: Final = ("source", "match", "where", "example")
#: The blocks of each kind, in the order in which the formatter writes them.
BLOCKS: Final[dict[str, tuple[str, ...]]] = {
    "op": _COMMON,
    "rule": ("source", "match", "where", "rewrite", "example"),
    "fusion": (
        "source",
        "like",
        "replaces",
        "match",
        "where",
        "int8",
        "sparse",
        "pays",
        "joins",
        "example",
    ),
    "share": ("source", "like", "match", "where", "scale", "example"),
    "precision": _COMMON,
    "check": ("match", "where", "message", "cure", "source", "rewrite", "example"),
}
#: The header clauses of each kind.
CLAUSES: Final[dict[str, tuple[str, ...]]] = {
    "op": ("on", "for"),
    "rule": ("on", "for", "preserves", "decreases"),
    "fusion": ("on", "for"),
    "share": ("on", "for"),
    "precision": ("on", "for", *ROLES),
    "check": ("on", "for", "grade", "preserves", "decreases"),
}

#: Words that are no names, wherever they stand.
RESERVED: Final = frozenset(
    ("and", "or", "not", "in", "is", "none", "true", "false", "else", "like", "maybe", "shared",
     "ordered", "const")
)  # fmt: skip
#: What `knob.attention` begins with; no name of a match.
KNOB: Final = "knob"
#: What a `pays` block may ask for beside the match: the bytes of one number that the kernel
#: multiplies, 1 in INT8, 2 in FP16, 4 in FP32; its multiply-adds; and how many numbers it reads and
#: writes, constants left out.
ELEMENT_BYTES: Final = "element_bytes"
PRODUCTS: Final = "products"
NUMBERS: Final = "numbers"
PAYS: Final = (ELEMENT_BYTES, PRODUCTS, NUMBERS)

#: How a block begins.
BLOCK_USAGE: Final = {
    "match": "match:",
    "where": "where:",
    "rewrite": "rewrite:",
    "int8": "int8:",
    "sparse": "sparse w:",
    "pays": "pays:",
    "joins": "joins elementwise, softmax",
    "like": "like conv_act",
    "replaces": "replaces conv_act",
    "scale": "scale: x, y",
    "message": 'message "the weight {w.name} is shared"',
    "cure": 'cure "give each layer a weight of its own"',
    "source": 'source "the document and its section"',
    "example": "example:",
    "before": "before:",
    "after": "after:",
    "rejects": 'rejects "the weight is shared"',
    "finds": 'finds "w has 2 readers"',
}

#: How a line is written, by the start rule of the grammar that reads it.
LINE_USAGE: Final = {
    "header": "a declaration begins: rule NAME on fx, onnx preserves exact:",
    "statement": "a match line reads: y = nn.relu(x)",
    "condition": 'a condition reads: w.readers == 1  else "the weight is shared"',
    "quantized": 'an operand of an int8 block reads: x, r per tensor  else "{r.name} is float"',
    "pairing": 'a pairing of an int8 block reads: x with depthwise  else "that one stays float"',
    "rewrite": "a rewrite line reads: y = nn.conv(x, w2, b2) like c",
    "scaled": 'values of one scale read: x, y  else "{x.name} and {y.name} have two"',
    "names": "names are separated by commas: x, y",
    "expr": "an expression reads: w.shape[1] % 4 == 0",
}

#: What `x.field` says of a value; any other field is an attribute of the operator that defines it.
PROPERTIES: Final = {
    "shape": "its dimensions, as a list; those of symbolic size cannot be compared",
    "rank": "how many dimensions it has",
    "dtype": 'its element type, such as "f32"',
    "readers": "how many operators read it; being a graph output counts as one",
    "is_const": "whether it is known at compile time",
    "is_stored": "whether it is a constant as it is, rather than computed from others",
    "is_input": "whether it is an input of the graph",
    "is_output": "whether it is an output of the graph",
    "name": "what it is called in the graph",
    "size": "how many elements it has",
    "depth": "where it stands by the longest path from an input to it: the deeper, the greater",
    "K": "of the weight of a matched operator: its output channels",
    "C": "of a weight: the channels that are summed over for each, those of one group",
    "area": "of a weight: the product of its other sizes, 9 for 3x3, 1 for a matrix",
    "groups": "of a weight: the groups of its operator, 1 where that has none",
}

"""The words of the dump text: names, types, attributes, arrays and origins, printed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import numpy as np

from sparqc.ir.graph import Array, Attribute, Origin, TensorType, Value, dtype_name
from sparqc.ir.types import Shape

#: Words that the grammar keeps for itself; a value of such a name is quoted.
KEYWORDS = frozenset({"graph", "on", "return", "as", "by", "none", "true", "false", "inf", "nan"})
NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)
_UNKNOWN = re.compile(r"\?[\w.]*", re.ASCII)
_MODULE = re.compile(r"(?!by\b)[\w.]+", re.ASCII)
_SOURCE = re.compile(r"[^\s\":]+:\d+")

#: Constants of at most so many elements stand in the text itself.
INLINE = 16


class Absent(np.ndarray[Any, Any]):
    """An array that only its hash is known of: zeros without memory, of the right type and shape.

    A dump that was printed without its weights parses into graphs that hold these.
    """

    digest: str = ""

    @classmethod
    def of(cls, dtype: np.dtype[Any], shape: tuple[int, ...], digest: str) -> Absent:
        """The stand-in for the array whose `content_hash` is `digest`."""
        array = np.broadcast_to(np.zeros((), dtype), shape).view(cls)
        array.digest = digest
        return array


def content_hash(array: Array) -> str:
    """Twelve hex digits that depend on dtype, shape and content."""
    if isinstance(array, Absent) and array.digest:
        return array.digest
    digest = hashlib.sha256(f"{dtype_name(array.dtype)}{array.shape}".encode())
    if array.dtype == object:
        digest.update(repr(array.tolist()).encode())
    else:
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:12]


def name_text(name: str) -> str:
    """A name as it stands in the text: quoted unless it is words joined by dots."""
    return name if NAME.fullmatch(name) and name not in KEYWORDS else json.dumps(name)


def type_text(type: TensorType) -> str:
    """`f32[batch, 3]`, `f32[]`, `f32` of unknown rank, `?` of unknown dtype."""
    return type.dtype if type.shape is None else f"{type.dtype}[{shape_text(type.shape)}]"


def shape_text(shape: Shape) -> str:
    """The dimensions, separated by commas; an expression such as "2*batch" is quoted."""
    return ", ".join(_dimension_text(d) for d in shape)


def _dimension_text(dimension: int | str) -> str:
    if isinstance(dimension, int) or _UNKNOWN.fullmatch(dimension):
        return str(dimension)
    return name_text(dimension)


def attribute_text(attribute: Attribute, *, weights: bool = False) -> str:
    """An attribute as a literal: `[1, 2]`, `1e-05`, `"nearest"`, `none`, `f32[1]([0.0])`."""
    if isinstance(attribute, np.ndarray):
        return f"{type_text(_type_of(attribute))}({data_text(attribute, weights=weights)})"
    if isinstance(attribute, tuple):
        return f"[{', '.join(attribute_text(a, weights=weights) for a in attribute)}]"
    if attribute is None or isinstance(attribute, bool):
        return {None: "none", True: "true", False: "false"}[attribute]
    if isinstance(attribute, str):
        return json.dumps(attribute)
    # Through the plain types: numpy's scalars are floats and ints too, but print otherwise.
    return repr(int(attribute) if isinstance(attribute, int | np.integer) else float(attribute))


def data_text(array: Array, *, weights: bool = False) -> str:
    """The content of a constant: its elements where they are few, else its hash."""
    if isinstance(array, Absent) or array.dtype.kind == "c":
        return f"#{content_hash(array)}"
    if array.size > INLINE and not weights:
        return f"#{content_hash(array)}"
    return _elements_text(array)


def _elements_text(array: Array) -> str:
    if array.dtype == object:
        return json.dumps(array.tolist())
    if array.ndim:
        return f"[{', '.join(_elements_text(row) for row in array)}]"
    return attribute_text(_python(array))


def _python(element: Array) -> Attribute:
    """The Python scalar that has the fewest digits and still is this element."""
    if element.dtype in (np.float16, np.float32):
        return float(str(element))
    if element.dtype.kind in "iu" or "int" in element.dtype.name:
        return int(element)
    if element.dtype.kind == "V" or element.dtype.kind == "f":
        return float(element)
    return element.item()  # type: ignore[no-any-return]


def _type_of(array: Array) -> TensorType:
    return TensorType(dtype_name(array.dtype), tuple(array.shape))


def constant_text(value: Value, *, weights: bool = False) -> str:
    """`conv1.weight: const f32[64, 3, 7, 7] = #9f2c…`."""
    assert value.data is not None
    declared = f"{name_text(value.name)}: const {type_text(value.type)}"
    return f"{declared} = {data_text(value.data, weights=weights)}"


def origin_text(origin: Origin) -> str:
    """`layer1.0.conv1 model.py:12 by fold.spq:3 fold_batch_norm`; empty where nothing is known."""
    module = _word(origin.module, _MODULE)
    source = _word(origin.source, _SOURCE, otherwise="source ")
    rules = f"by {'; '.join(origin.rules)}" if origin.rules else ""
    return " ".join(word for word in (module, source, rules) if word)


def _word(text: str, plain: re.Pattern[str], otherwise: str = "") -> str:
    if not text or plain.fullmatch(text):
        return text
    return otherwise + json.dumps(text)


_ORIGIN = re.compile(
    r"(?P<module>(?!by\b)[\w.]+(?![\w.:])|\"(?:[^\"\\]|\\.)*\")?\s*"
    r"(?P<source>[^\s\":]+:\d+|source \"(?:[^\"\\]|\\.)*\")?\s*"
    r"(?:by (?P<rules>.+))?",
    re.ASCII,
)


def origin_of(comment: str) -> Origin:
    """The origin that `origin_text` printed; an empty one for any other comment."""
    found = _ORIGIN.fullmatch(comment.strip())
    if found is None:
        return Origin()
    module, source, rules = found.groups(default="")
    return Origin(
        _unquote(module), _unquote(source.removeprefix("source ")),
        tuple(rules.split("; ")) if rules else (),
    )  # fmt: skip


def _unquote(word: str) -> str:
    return str(json.loads(word)) if word.startswith('"') else word

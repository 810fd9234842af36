"""What parser and checks find in a text, and how a test file says what it expects."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparqc.declared.natives import Native, describe
from sparqc.errors import ErrorGroup, PatternError
from sparqc.ir.graph import Array, Value
from sparqc.ir.vocabulary.table import OperatorTable, default_table
from sparqc.lang.check.checks import PatternWarning, check_file
from sparqc.lang.parse.parser import parse_text


def double(w: Array) -> Array:
    """A native with one operand."""
    return 2 * np.asarray(w)


def bare_branch(c: Value, r: Value) -> bool:
    """A native that looks at values."""
    return c is not r


def fold_batch_norm(
    w: Array,
    b: Array | None,
    scale: Array | None,
    bias: Array | None,
    mean: Array,
    var: Array,
    e: float,
) -> tuple[Array, Array]:
    """A native with two results."""
    return w, mean


NATIVES: dict[str, Native] = {
    function.__name__: describe(function.__name__, function)
    for function in (double, bare_branch, fold_batch_norm)
}


#: A part of the table: which words are near to a wrong one does not change as the table grows.
NAMES = """
    nn.conv nn.linear nn.batch_norm nn.add nn.sub nn.mul nn.min nn.max nn.neg nn.exp nn.abs nn.relu
    nn.silu nn.sigmoid nn.clip nn.softmax nn.max_pool nn.global_average_pool
    nn.adaptive_average_pool nn.reshape nn.transpose nn.concat nn.split nn.pad nn.resize nn.identity
    q.qdq
"""
TABLE = OperatorTable(default_table().require(name) for name in NAMES.split())


def findings(text: str, file: str = "<string>") -> list[PatternError]:
    """The errors of the parser, or else the findings of the checks."""
    try:
        return check_file(parse_text(text, file), TABLE, NATIVES)
    except ErrorGroup as group:
        return [error for error in group.errors if isinstance(error, PatternError)]
    except PatternError as error:
        return [error]


def expected_lines(text: str) -> list[str]:
    """The findings as a test file begins with them: `# error: line:column message`."""
    return [line for finding in findings(text) for line in _lines(finding)]


def _lines(finding: PatternError) -> Iterator[str]:
    grade = "warning" if isinstance(finding, PatternWarning) else "error"
    span = finding.span
    place = f"{span.line}:{span.column}+{span.width}" if span else "?"
    yield f"# {grade}: {place} {finding.message}"
    for line in finding.hint.splitlines():
        yield f"#   hint: {line.strip()}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print("\n".join(expected_lines(Path(name).read_text())))

"""What an error says to write instead: applied to the file, it is right."""

import pytest

from sparqc.declared.natives import natives
from sparqc.errors import PatternError
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.check.checks import check_file
from sparqc.lang.parse.parser import parse_what_can_be

RULE = """rule mine on fx, onnx preserves lossy:
    "A rule."
    match:
        c = nn.conv(x, w: const f32[k, ...], b?)
        y = nn.softmax(c, axis=1)
    where:
        w.rank == k and knob.attention == "int8"  else "no"
        x.readers == 1
    rewrite:
        f = @fold_batch_norm(w, b, w, w, w, w, 1)
        y = nn.conv(x, f, b) like c
"""


def findings(text: str) -> list[PatternError]:
    file, errors = parse_what_can_be(text, "mine.spq")
    return errors or check_file(file, default_table(), natives())


def applied(text: str, error: PatternError, which: int = 0) -> str:
    fix = error.fixes[which]
    lines = text.split("\n")
    line, start = lines[fix.span.line - 1], fix.span.column - 1
    lines[fix.span.line - 1] = line[:start] + fix.text + line[start + fix.span.width :]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("nn.softmax", "nn.sofmax"),
        ("nn.softmax", "torch.softmax"),
        ("axis=1", "axes=1"),
        ("w.rank", "w.dim"),
        ("w.rank", "w.rnak"),
        ("== k", "= k"),
        (" and ", " && "),
        ("knob.attention", "knob.attentoin"),
        ("@fold_batch_norm", "@fold_batchnorm"),
        ("like c", "like cc"),
        ("match:", "match"),
        ("match:", "mach:"),
        ("lossy:", "lossy"),
        ("preserves lossy", "preserves losy"),
        ("f32", "f23"),
        ("x, w:", "x w:"),
        ("rule mine", "rul mine"),
        ("y = nn.softmax", "y == nn.softmax"),
    ],
)
def test_a_fix_gives_what_was_meant(right: str, wrong: str) -> None:
    text = RULE.replace(right, wrong, 1)
    fixed = [applied(text, e, i) for e in findings(text) for i in range(len(e.fixes))]
    assert RULE in fixed


def test_a_word_without_neighbours_has_no_fix() -> None:
    text = RULE.replace("nn.softmax", "quux")
    assert [e.fixes for e in findings(text) if "quux" in e.message] == [()]

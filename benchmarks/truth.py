"""What the predictions rest on, and how far off they are: writes docs/truth.md.

    python benchmarks/truth.py [--check]

Every claim about TensorRT stands in docs/tensorrt.md with what bears it out; what can be held
against a real engine is held against it here, anew.  It takes about a minute, and needs the wheel
of TensorRT-RTX.  With --check nothing is written: it ends with 1 where the page would change.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent / "engines"))

import times  # beside it, in engines/
from rtx_agreement import agree, models

from sparqc.tools.engine.listings.inspector import parse_inspector
from sparqc.tools.explain.compare_engines import compare
from sparqc.tools.explain.prediction import predict
from tests.engines.facts import ENGINES, PublicEngine
from tests.predict.sparse_witness import LAYERS, verdicts

DOCS = Path(__file__).resolve().parents[1] / "docs"
FACTS, PAGE = DOCS / "tensorrt.md", DOCS / "truth.md"
#: A fact: its number, what it says, and the marks of what bears it out.
_FACT = re.compile(r"(\d+)\. (.*[.)]) ([DPMOETU-](?:, [DPMOETU])*(?:(?: for|; of) .*)?)$")
_SECTION = re.compile(r"## (\d+)\. (.*)")
_LONGEST = 130


_HEAD = """\
<!-- written by `python benchmarks/truth.py`; do not edit -->

# What bears the claims out, and how far off the predictions are

## Kernels, types and leftover quantizers

Public listings of TensorRT 8.4 ([tensorrt.md](tensorrt.md#9-what-public-engines-showed)): operators
that run as one kernel (predicted, real, alike), tensors between kernels whose type differs,
quantizers that are kernels of their own (predicted, real), layers in INT8 (alike, all).

| engine | kernels | types that differ | leftover Q | INT8 layers |
|---|---|---|---|---|
"""
_SPARSE = """
## Sparse kernels

The 36 encoder convolutions of a UNet (A100, TensorRT 10.16): which ones the builder ran sparse, and
which ones are said to pay ([why](tensorrt.md#when-24-pays)).

| type | chosen | said to pay | both | precision | recall |
|---|---|---|---|---|---|
"""
_TIMES = """
## Times

Whole networks ([how they are estimated](explain.md#times)).

| network | GPU | batch | measured | predicted | off |
|---|---|---|---|---|---|
"""
_FACTS = """
## Facts

What bears each fact of [tensorrt.md](tensorrt.md) out. **D** NVIDIA's documentation, **P** the
parser's code, **M** a maintainer's word, **O** builds of TensorRT-RTX, **E** engines seen, **T**
times measured, **U** users' reports, **-** no witness.

| fact | | witness |
|---|---|---|
"""


def page() -> str:
    """The text of the page."""
    parts = (
        (_HEAD, map(_engine, ENGINES)),
        ("\n## INT8 layers in TensorRT-RTX\n\n", _rtx()),
        (_SPARSE, map(_sparse, ("int8", "fp16"))),
        (_TIMES, map(_time, (*times.CASES, *times.GAINS))),
        (_FACTS, facts()),
    )
    return "".join(head + "".join(f"{line}\n" for line in lines) for head, lines in parts)


def _engine(public: PublicEngine) -> str:
    model = public.graph()
    found = compare(predict(model), parse_inspector(json.dumps(public.listing())), model)
    ours, real = found.groups
    kinds = [d for d in found.differences if d.kind == "types"]
    leftover = "{}, {}".format(*found.quantizers)
    int8 = "{} of {}".format(*found.int8)
    return f"| {public.name} | {ours}, {real}, {found.alike} | {len(kinds)} | {leftover} | {int8} |"


def _rtx() -> Iterator[str]:
    results = [agree(title, model) for title, model in models([], [])]
    alike = sum(r.alike for r in results)
    layers = sum(r.layers for r in results)
    yield f"{alike} of {len(results)} small graphs with {layers} weighted layers are alike"
    yield f"({results[0].compiler}; `python benchmarks/rtx_agreement.py`)."
    for result in results:
        if not result.alike:
            yield f"* {result.title}: {result.text}"


def _sparse(dtype: str) -> str:
    said = verdicts(dtype)
    seen = [layer.int8_sparse if dtype == "int8" else layer.fp16_sparse for layer in LAYERS]
    both = sum(a and b for a, b in zip(said, seen, strict=True))
    shares = f"{both / sum(said):.2f} | {both / sum(seen):.2f}"
    return f"| {dtype.upper()} | {sum(seen)} | {sum(said)} | {both} | {shares} |"


def _time(row: times.Case) -> str:
    gains = row.kernels == "gain"
    unit, name = ("", f"{row.name}, gain from 2:4") if gains else (" ms", row.name)
    found = times.predicted(row)
    figures = (
        f"{row.measured:.3g}{unit} | {found:.3g}{unit} | {100 * (found / row.measured - 1):+.0f} %"
    )
    return f"| {name} | {row.gpu} | {row.batch} | {figures} |"


def facts() -> Iterator[str]:
    """A row for each numbered fact; SystemExit for one that does not say what bears it out."""
    section = ""
    for line in FACTS.read_text().splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        elif re.match(r"\d+\. ", line):
            fact = _FACT.match(line)
            if fact is None:
                raise SystemExit(f"docs/tensorrt.md, §{section}: no mark at the end of: {line}")
            yield f"| §{section}.{fact[1]} | {_short(fact[2])} | {fact[3]} |"


def _short(text: str) -> str:
    """The first sentence, or as much of it as fits into a row."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)|\*\*|(?<!\w)\*|\*(?!\w)|`", r"\1", text).replace(
        "|", "\\|"
    )
    sentence = re.split(r"(?<=[A-Za-z0-9)])\. ", text)[0].rstrip(".")
    if len(sentence) <= _LONGEST:
        return sentence
    return sentence[:_LONGEST].rpartition(" ")[0].rstrip(",;") + " …"


def main() -> int:
    """Write the page, or say whether it is as it would be written."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text)
        return 0
    return int(PAGE.read_text() != text)


if __name__ == "__main__":
    sys.exit(main())

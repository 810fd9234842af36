"""Compile the zoo of the tests, and write what TensorRT-RTX makes of each network as a table.

    python benchmarks/zoo_table.py                        print the table (minutes)
    python benchmarks/zoo_table.py resnet18 bert          of these alone
    python benchmarks/zoo_table.py --write docs/zoo.md    renew the page

Needs what `make .venv/dev` installs.  The networks have few layers, small inputs and random
weights: the table says what is placed where, not how fast or how accurate anything is.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tests.conftest  # noqa: F401  (a torchvision that imports beside any torch)
from tests.zoo.agreement import Agreement, measure
from tests.zoo.architecture import Architecture
from tests.zoo.architectures import ARCHITECTURES

HEAD = """\
# The zoo

What TensorRT-RTX makes of {count} architectures that sparqc compiled with the preset \
`all-sparse`, beside what was predicted. `tests/zoo/test_agreement.py` holds for each of them that \
the compiler takes the file, that the operators which run in INT8 are those that `sparqc explain` \
predicts, and that no more activation traffic is left than without fused residual Adds and shared \
scales. Floats are FP32 here, so that bytes are those of the placement alone; with FP16, which is \
the default, the same test holds that each file is taken and runs the predicted operators in INT8.

The networks have few layers, small inputs and random weights (`tests/zoo/from_*.py`), so that all \
of them compile in minutes: {parts}. The page is written by

    python benchmarks/zoo_table.py --write docs/zoo.md

The same is held against the preset `int8`, without a page, by

    python benchmarks/rtx_agreement.py --zoo

| column | meaning |
|---|---|
| weighted | convolutions and matrix products with a constant weight |
| INT8 | of these, how many run in INT8; in parentheses how many were predicted, if others |
| 2:4 | of these, how many weights are 2:4 in the file |
| kernels | kernels of the engine |
| traffic | bytes of activations that the kernels read and write, in KiB |
| switched off | traffic against the same network without residual fusions and shares |

"""
COLUMNS = "| network | parameters | weighted | INT8 | 2:4 | kernels | traffic | switched off |"
RULE = "|---|---:|---:|---:|---:|---:|---:|---:|"


def page(found: Sequence[Agreement]) -> str:
    """The whole page."""
    sources = Counter(one.source for one in found)
    parts = ", ".join(f"{count} of {source}" for source, count in sources.items())
    lines = [HEAD.format(count=len(found), parts=parts)]
    for source in sources:
        rows = [one for one in found if one.source == source]
        lines += [f"## {source}\n", COLUMNS, RULE, *map(row, rows), ""]
    return "\n".join([*lines, "## What stays in float\n", *reasons(found)]) + "\n"


def row(one: Agreement) -> str:
    """The line of one network."""
    runs, predicted = one.report.int8_nodes, one.expected.int8_nodes
    differs = f" ({len(predicted)})" if set(runs) != set(predicted) else ""
    cells = [
        one.name,
        f"{one.parameters / 1e6:.1f} M",
        one.weighted,
        f"{len(runs)}{differs}",
        one.sparse,
        len(one.report.kernels),
        f"{one.traffic / 1024:.0f}",
        f"{one.traffic / one.plain_traffic - 1:+.0%}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def reasons(found: Iterable[Agreement]) -> Iterator[str]:
    """How many weighted operators stay in float for each reason, and in which networks."""
    counts: Counter[str] = Counter()
    networks: dict[str, list[str]] = {}
    for one in found:
        for reason, count in one.reasons.items():
            counts[short(reason)] += count
            networks.setdefault(short(reason), []).append(one.name)
    yield "| reason | operators | networks |"
    yield "|---|---:|---|"
    for reason, count in counts.most_common():
        names = ", ".join(dict.fromkeys(networks[reason]))
        yield f"| {reason} | {count} | {names} |"


def short(reason: str) -> str:
    """A reason without the sizes of the one weight."""
    return re.sub(r": weight \[.*", "", reason).replace("|", "\\|")


def measured(architectures: Iterable[Architecture]) -> Iterator[Agreement]:
    """Each network, with its time on the terminal."""
    for architecture in architectures:
        found = measure(architecture)
        agrees = set(found.report.int8_nodes) == set(found.expected.int8_nodes)
        word = "agrees" if agrees else "DIFFERS"
        print(f"{found.name:32s} {word:8s} {found.seconds:5.1f} s of CPU", file=sys.stderr)
        yield found


def main(arguments: Sequence[str]) -> None:
    """Print the table, or write it where --write says."""
    target = arguments[arguments.index("--write") + 1] if "--write" in arguments else None
    names = [a for a in arguments if a not in ("--write", target)]
    if unknown := set(names) - {a.name for a in ARCHITECTURES}:
        sys.exit(f"no such network: {', '.join(sorted(unknown))}")
    start = time.perf_counter()
    text = page(list(measured(a for a in ARCHITECTURES if not names or a.name in names)))
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    if target is None:
        print(text)
    else:
        Path(target).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

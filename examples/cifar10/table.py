"""The tables of `docs/case_study.md`, from the figures that `study.py` kept.

python examples/cifar10/table.py --runs runs --write docs/case_study.md

What stands between the two marks of the file is replaced.
"""

import argparse
import json
import statistics
from pathlib import Path

BEGIN, END = "<!-- figures: table.py -->\n", "<!-- end of figures -->"
CONTROL = "dense FP32 (control)"
#: The article's table: a row for each precision, a column for each kind of weights.
PRECISIONS = {
    "FP32": (CONTROL, "sparse FP32"),
    "INT8, PTQ": ("dense INT8 PTQ", "sparse INT8 PTQ"),
    "INT8, QAT": ("dense INT8 QAT", "sparse INT8 QAT"),
}

Rows = dict[str, list[float]]


def read(runs: Path) -> Rows:
    """Name of a row -> a figure for each seed that has all the rows of the first one."""
    seeds = [json.loads(path.read_text()) for path in sorted(runs.glob("seed*/top1.json"))]
    if not seeds:
        raise SystemExit(f"{runs} holds no figures: run study.py first")
    return {name: [seed[name] for seed in seeds if name in seed] for name in seeds[0]}


def spell(figures: list[float]) -> str:
    """Mean and standard deviation over the seeds."""
    if len(figures) < 2:
        return f"{figures[0]:.2f}"
    return f"{statistics.mean(figures):.2f} ± {statistics.stdev(figures):.2f}"


def gap(rows: Rows, name: str) -> str:
    """The mean distance to the control of the same seed, in points."""
    pairs = zip(rows[name], rows[CONTROL], strict=False)
    return f"{statistics.mean(a - b for a, b in pairs):+.2f}"


def tables(rows: Rows) -> str:
    """Both tables in Markdown."""
    lines = ["| top-1, % | dense | sparse 2:4 |", "|---|---|---|"]
    for precision, (dense, sparse) in PRECISIONS.items():
        cells = [f"{spell(rows[n])} ({gap(rows, n)})" for n in (dense, sparse) if n in rows]
        lines.append(f"| {precision} | {' | '.join(cells)} |")
    lines += ["", "| row | each seed | mean | against the control |", "|---|---|---|---|"]
    for name, figures in rows.items():
        each = ", ".join(f"{figure:.2f}" for figure in figures)
        lines.append(f"| {name} | {each} | {spell(figures)} | {gap(rows, name)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the tables of the case study.")
    parser.add_argument("--runs", type=Path, required=True, help="the folder study.py wrote")
    parser.add_argument("--write", type=Path, help="put them between the marks of this file")
    options = parser.parse_args()
    text = tables(read(options.runs))
    if options.write is None:
        print(text, end="")
        return
    before, _, rest = options.write.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{options.write} has no marks {BEGIN.strip()} and {END}")
    options.write.write_text(before + BEGIN + text + END + after)


if __name__ == "__main__":
    main()

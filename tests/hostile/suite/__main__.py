"""Run the hostile suite: `python -m tests.hostile.suite [--slice 1/4] [--only WORD]`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.hostile.suite.judge import judged
from tests.hostile.suite.kinds.all import all_cases
from tests.hostile.suite.worker import Worker


def main() -> int:
    """Print what went wrong, and a table by kind; 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", default="1/1", help="which part of how many")
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--limit", type=float, default=20, help="seconds a command may take")
    parser.add_argument("--verbose", action="store_true", help="print what went well, too")
    chosen = parser.parse_args()
    part, parts = map(int, chosen.slice.split("/"))
    cases = [c for c in all_cases() if chosen.only in c.name][part - 1 :: parts]
    worker = Worker(chosen.limit)
    counts: dict[str, Counter[str]] = {}
    slowest = (0.0, "")
    for case in cases:
        kind = counts.setdefault(case.name.partition(":")[0], Counter())
        kind["files"] += 1
        found: dict[str, list[str]] = {}
        for verdict in judged(case, worker):
            kind["runs"] += 1
            kind["wrong"] += bool(verdict.wrong)
            kind[f"exit {verdict.ran.code}"] += 1
            slowest = max(slowest, (verdict.ran.seconds, f"{verdict.case} | {verdict.words}"))
            if chosen.verbose:
                sys.stdout.write(f"{verdict}\n")
            if verdict.wrong:
                found.setdefault(verdict.wrong, []).append(verdict.words)
                said = " ".join(verdict.ran.text.split())[:300]
        for wrong, commands in found.items():
            sys.stdout.write(f"{case.name} | {wrong} | {', '.join(commands)}")
            sys.stdout.write(f" | {said}\n" if "ok" not in wrong else "\n")
        sys.stdout.flush()
    worker.close()
    columns = ("files", "runs", "exit 0", "exit 1", "exit 2", "wrong")
    sys.stdout.write(f"{'kind':24}" + "".join(f"{c:>8}" for c in columns) + "\n")
    total: Counter[str] = Counter()
    for name, count in counts.items():
        total += count
        sys.stdout.write(f"{name:24}" + "".join(f"{count[c]:8}" for c in columns) + "\n")
    sys.stdout.write(f"{'together':24}" + "".join(f"{total[c]:8}" for c in columns) + "\n")
    sys.stdout.write(f"slowest: {slowest[0]:.1f} s, {slowest[1]}\n")
    return int(total["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())

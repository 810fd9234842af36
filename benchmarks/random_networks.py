"""Compile random networks in every way, and say which of them the compiler got wrong.

    python benchmarks/random_networks.py                        500 networks (half an hour of CPU)
    python benchmarks/random_networks.py --seed 7 --count 50    others
    python benchmarks/random_networks.py --start 250 --count 250    a part, beside another process
    python benchmarks/random_networks.py --only 17              one again, and what is wrong

Each is a chain of 3 to 12 blocks (tests/chains): of every operator of the table that PyTorch can
spell, and of others.  The float file has to be within 1e-4 of PyTorch at two batch sizes, with
onnxruntime's optimizations off and on; the INT8 file above 15 dB, or graded poor; and the ONNX file
of a network, sparqc's own or, of every fourth, that of torch.onnx, has to get the INT8 layers that
the network gets.  The exit code is 1 where one of that fails.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from tests.chains.chain import Chain
from tests.chains.measure import Outcome, measure

#: Every so many networks are captured for each compile anew, and exported by torch.onnx too.
THOROUGH = 4


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="how many networks")
    parser.add_argument("--start", type=int, default=0, help="the number of the first one")
    parser.add_argument("--seed", type=int, default=0, help="other networks for another seed")
    parser.add_argument("--only", type=int, help="this one alone, and its smallest wrong part")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if given.only is not None:
        return one(given.seed, given.only)
    print("network  worst float error     INT8  grade   INT8 of layers   CPU  blocks")
    found = []
    for index in range(given.start, given.start + given.count):
        found.append(measure(Chain(given.seed, index), index, thorough=index % THOROUGH == 0))
        print(row(found[-1]), flush=True)
    print(summary(found, given.seed))
    return 1 if any(o.faults for o in found) else 0


def row(o: Outcome) -> str:
    """The line of one network, and what is wrong with it below."""
    notes = ["batch fixed"] * o.is_static + ["unstable"] * o.is_unstable
    text = (
        f"{o.index:7d}  {o.float_error:17.1e}  {o.int8_snr:7.1f}  {o.grade:6s}  "
        f"{o.int8:6d} of {o.layers:3d}  {o.seconds:5.1f}  {', '.join([*o.kinds, *notes])}"
    )
    return "\n".join([text, *(f"    WRONG {fault}" for fault in o.faults)])


def summary(found: Sequence[Outcome], seed: int) -> str:
    """The figures of all networks, and how to see each wrong one again."""
    wrong = [o for o in found if o.faults]
    stable = [o for o in found if not o.is_unstable and not o.faults]
    grades = Counter(o.grade or "not compiled" for o in found)
    worst = max((o.float_error for o in stable), default=0.0)
    lines = [
        "",
        f"networks      {len(found)}, {len(found) - len(wrong)} of them right",
        f"float         worst error {worst:.1e} of the largest magnitude; PyTorch is no nearer to "
        f"itself in {sum(o.is_unstable for o in found)}; {sum(o.is_static for o in found)} with a "
        "fixed batch",
        f"int8          {', '.join(f'{count} {word}' for word, count in grades.most_common())}; "
        f"{sum(o.int8 for o in found)} of {sum(o.layers for o in found)} weighted layers in INT8",
        f"outside       {len({op for o in found for op in o.alone})} operators that the table does "
        "not have",
        f"time          {sum(o.seconds for o in found):.0f} s of CPU",
    ]
    lines += [f"again         --seed {seed} --only {o.index}: {o.faults[0]}" for o in wrong]
    return "\n".join(lines)


def one(seed: int, index: int) -> int:
    """Measure one network; where it is wrong, look for the first value that is wrong by itself."""
    found = measure(Chain(seed, index), index)
    print(row(found))
    if not found.faults:
        return 0
    for value in Chain(seed, index).values:
        network = Chain(seed, index)
        blocks = network.give(value)
        part = measure(network, index)
        if part.faults:
            print(f"the smallest part that is wrong: {' -> '.join(blocks)}")
            print("\n".join(f"    {fault}" for fault in part.faults))
            break
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

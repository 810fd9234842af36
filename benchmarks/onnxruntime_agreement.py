"""What onnxruntime runs in INT8 on a CPU, beside what is predicted, operator by operator.

    python benchmarks/onnxruntime_agreement.py                  the small networks of the tests
    python benchmarks/onnxruntime_agreement.py softmax          these alone
    python benchmarks/onnxruntime_agreement.py --zoo dla34 ...  networks of docs/zoo.md

One line a network: the operators that have an INT8 kernel in onnxruntime, how many run in INT8,
how many were predicted, and the names that differ.  It ends with 1 where any does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sparqc
import tests.conftest  # noqa: F401  (a torchvision that imports beside any torch)
from tests.agreement.onnxruntime_kernels import compare
from tests.agreement.onnxruntime_networks import NETWORKS


def small(names: list[str]) -> Iterator[tuple[str, nn.Module, tuple[torch.Tensor, ...]]]:
    """The small networks of the tests, with random weights."""
    for name in names or NETWORKS:
        torch.manual_seed(0)
        make, shape = NETWORKS[name]
        yield name, make().eval(), (torch.randn(shape),)


def zoo(names: list[str]) -> Iterator[tuple[str, nn.Module, tuple[torch.Tensor, ...]]]:
    """Networks of the zoo, each built when it is its turn."""
    from tests.zoo.architectures import ARCHITECTURES

    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    for name in names:
        net, inputs = known[name].build()
        yield name, net, inputs


def main() -> int:
    """Print the lines; 1 where one of them disagrees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NETWORK")
    parser.add_argument("--zoo", action="store_true")
    given = parser.parse_args()
    if given.zoo:
        from tests.zoo.architectures import ARCHITECTURES

        known = {architecture.name for architecture in ARCHITECTURES}
    else:
        known = set(NETWORKS)
    if unknown := set(given.names) - known:
        parser.error(f"no such network: {', '.join(sorted(unknown))}")
    if given.zoo and not given.names:
        parser.error("name networks of docs/zoo.md behind --zoo")
    alike = []
    for name, net, inputs in (zoo if given.zoo else small)(given.names):
        model = sparqc.compile(
            net, inputs, target="onnxruntime", passes="int8", random_calibration=True
        ).model
        found = compare(model)
        differ = sorted(found.predicted ^ found.built)
        alike.append(not differ)
        print(
            f"{name:<26} {len(found.operators):>3} operators, INT8 {len(found.built):>3}, "
            f"predicted {len(found.predicted):>3}  {', '.join(differ) or 'alike'}",
            flush=True,
        )
    print(f"{sum(alike)} of {len(alike)} alike")
    return int(not all(alike))


if __name__ == "__main__":
    sys.exit(main())

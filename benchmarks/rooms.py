"""The structure of the code in figures: rooms, imports between them, and the way of a weight.

    python benchmarks/rooms.py

Files and lines by room; arrows (room imports room), those that run back up, circles of modules;
where operators are named beside their table (what is known of an operator belongs there, of a
target below `patterns/`: each name that is left wants a reason); and for either road the files of
sparqc that one convolution's weight enters on its way through `compile`: those with a call
that is given the weight, in whatever form, recognised by its shape.
"""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import networkx
import numpy as np
import torch
from torch import nn

import sparqc
from sparqc.ir.graph import Value

#: [output channels, input channels, height, width]; no other tensor of the network has it.
WEIGHT = (48, 32, 3, 3)


class Network(nn.Module):
    """Conv, BatchNorm, ReLU twice; the second convolution is the one that is followed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(32, 48, 3), nn.BatchNorm2d(48), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, 16, height, width] to [batch, 48, height - 4, width - 4]."""
        return self.body(self.stem(x))


# -- imports ---------------------------------------------------------------------------------------


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    names = ["sparqc", *(m.name for m in pkgutil.walk_packages(sparqc.__path__, "sparqc."))]
    specs = {name: importlib.util.find_spec(name) for name in names}
    return {name: Path(spec.origin) for name, spec in specs.items() if spec and spec.origin}


def room_of(module: str) -> str:
    """The folder that a module lies in, one level below sparqc: "sparqc.ir", "sparqc.match"."""
    return ".".join(module.split(".")[:2])


def imports(known: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Pairs of modules, the first of which imports the second, inside functions too."""
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    name = f"{node.module}.{alias.name}"
                    target = name if name in known else node.module
                    if target in known and target != module:
                        yield module, target
            elif isinstance(node, ast.Import):
                yield from ((module, a.name) for a in node.names if a.name in known)


# -- names of operators ----------------------------------------------------------------------------

#: Whose names count, but for the table itself: the rooms that know neither a model nor a target.
NAMING = ("passes", "predict", "match", "rewrite", "training", "capture", "validation", "ir")
_OPERATOR = re.compile(r"(nn|q|sparse)\.[a-z_0-9]+")


def operators_named(known: dict[str, Path]) -> Counter[str]:
    """Module -> how often it names an operator in a string."""
    counts: Counter[str] = Counter()
    for module, path in known.items():
        if module.split(".")[1:2] and module.split(".")[1] in NAMING:
            strings = (n.value for n in ast.walk(ast.parse(path.read_text()))
                       if isinstance(n, ast.Constant) and isinstance(n.value, str))  # fmt: skip
            counts[module] = sum(_OPERATOR.fullmatch(s) is not None for s in strings)
    return +Counter({m: n for m, n in counts.items() if not m.startswith("sparqc.ir.operators")})


# -- the way of a weight ---------------------------------------------------------------------------


def entered(work: Callable[[], object]) -> Counter[str]:
    """File of sparqc -> how many calls in it were given the weight while `work` ran."""
    counts: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not frame.f_globals.get("__name__", "").startswith("sparqc."):
            return
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount
        given = (frame.f_locals.get(name) for name in code.co_varnames[:count])
        if any(map(_is_weight, given)):
            counts[frame.f_globals["__name__"]] += 1

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counts


def _is_weight(item: object) -> bool:
    """An array, a tensor, or a value of a graph with the weight's shape.  (A value that is being
    made has none yet.)"""
    return (
        isinstance(item, np.ndarray | torch.Tensor | Value)
        and getattr(item, "shape", None) == WEIGHT
    )


def main() -> None:
    """Print the figures."""
    known = modules()
    lines = {m: len(p.read_text().splitlines()) for m, p in known.items()}
    rooms = Counter(map(room_of, known))
    pairs = set(imports(known))
    circles = [c for c in networkx.strongly_connected_components(networkx.DiGraph(pairs))
               if len(c) > 1]  # fmt: skip
    arrows = {(room_of(a), room_of(b)) for a, b in pairs if room_of(a) != room_of(b)}
    folders = Counter(path.parent for path in known.values())
    print(f"{len(known)} modules, {sum(lines.values())} lines")
    print("rooms: " + ", ".join(f"{r.partition('.')[2] or 'sparqc'} {n}" for r, n in rooms.items()))
    print("largest folders: " + ", ".join(f"{f.name} {n}" for f, n in folders.most_common(4)))
    print(f"arrows between rooms {len(arrows)}, circles of modules {len(circles)}")
    for circle in circles:
        print("  " + " <-> ".join(sorted(circle)))
    named = operators_named(known)
    print(f"operators are named {named.total()} times in {len(named)} modules beside the table:")
    for module, count in sorted(named.items(), key=lambda found: (-found[1], found[0])):
        print(f"  {module} {count}")
    torch.manual_seed(0)
    module, example = Network().eval(), torch.randn(4, 16, 12, 12)
    path = Path("rooms.onnx")
    wishes: dict[str, Any] = {"random_calibration": True}
    sparqc.compile(module, (example,), passes="float").save(path)
    sparqc.compile(module, (example,), **wishes)  # what is imported and cached once, is by now
    roads = {
        "PyTorch": lambda: sparqc.compile(module, (example,), **wishes),
        "ONNX": lambda: sparqc.compile(path, **wishes),
    }
    for road, work in roads.items():
        counts = entered(work)
        by_room = Counter(room_of(m).partition(".")[2] for m in counts)
        inside = ", ".join(f"{room} {n}" for room, n in by_room.most_common())
        print(f"{road}: a weight enters {len(counts)} files ({inside}), {counts.total()} calls")
    path.unlink()


if __name__ == "__main__":
    main()

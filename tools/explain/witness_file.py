"""What a person asks with `--learn`, and the file that comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from sparqc.declared.gpus import gpu, gpus
from sparqc.errors import UsageError
from sparqc.predict.engine import PredictedEngine
from sparqc.tools.engine.listings.listing import Listing
from sparqc.tools.explain.learn import Learned, learn
from sparqc.tools.terminal.text_file import write_text


@dataclass(frozen=True)
class Wish:
    """On which GPU the engine ran, what built it, and where the witness goes."""

    gpu: str
    built_with: str = ""
    output: Path | None = None

    @classmethod
    def of(
        cls, gpus_named: Sequence[str], built_with: str, output: Path | None, read: Sequence[Path]
    ) -> Wish:
        """The wish of a command; `read` are the files that it must not write over.

        Raises UsageError where not one GPU is named, or one of these files as the output.
        """
        if len(gpus_named) != 1 or "all" in gpus_named:
            raise UsageError(
                "--learn has to know the GPU that the engine ran on",
                hint=f"name one with --gpu: {', '.join(gpus())}",
            )
        if output is not None and output.resolve() in [path.resolve() for path in read]:
            raise UsageError(f"-o {output} is a file that is read: name another one")
        return cls(gpu(gpus_named[0]).name, built_with, output)


@dataclass(frozen=True)
class Written:
    """A witness in its file."""

    path: Path
    learned: Learned

    def lines(self) -> Iterator[str]:
        """For a person."""
        found = self.learned
        timed = sum(k.timed for k in found.kernels)
        sparse = sum(bool(k.sparse) for k in found.kernels)
        yield f"witness in {self.path}: {len(found.kernels)} of {found.layers} weighted operators"
        yield f"  {timed} with times, {sparse} ran sparse; no names and no weights are in it"
        yield from (f"  note: {note}" for note in found.notes)
        yield "  keep it (--witnesses takes the file), or send it to the makers of sparqc"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "file": str(self.path), "name": self.learned.name, "layers": self.learned.layers,
            "kernels": len(self.learned.kernels), "notes": list(self.learned.notes),
        }  # fmt: skip


def learned_from(
    engine: PredictedEngine, listing: Listing, model: ModelProto, wish: Wish
) -> Learned:
    """What a real engine shows; errors as of `learn`."""
    return learn(engine, listing, model, gpu(wish.gpu), wish.built_with)


def write_witness(learned: Learned, wish: Wish) -> Written:
    """Write what was learned; SparqcError where the system refuses."""
    path = wish.output or Path(f"{learned.name}.toml")
    write_text(path, learned.text)
    return Written(path, learned)

"""The folder in which a run keeps its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparqc.errors import SparqcError, UsageError
from sparqc.tools.tune.identity import Identity, differences
from sparqc.tools.tune.state.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

#: How many checkpoints of a stage that goes on are kept: the last one, and one in its stead.
KEPT = 2
#: The stages in their order.
STAGES = ("sparse", "qat")
_SUFFIX, _END = ".safetensors", "end"


@dataclass(frozen=True)
class Store:
    """Checkpoints in a folder, all of one run.

    `1-sparse-000000500.safetensors` is the state behind step 500 of the first stage, and
    `1-sparse-end.safetensors` its result.
    """

    folder: Path
    identity: Identity
    #: Says something to the person.
    say: Callable[[str], None] = lambda _: None

    def begin(self, resume: bool) -> Checkpoint | None:
        """The newest checkpoint to go on from; None where the run starts.

        Raises:
            UsageError: where the folder holds a run, and it is not to be resumed.
            SparqcError: where the checkpoint is of another run, or none can be read.
        """
        for old in self.folder.glob(f".*{_SUFFIX}.*.new"):  # of a run that was killed
            old.unlink(missing_ok=True)
        found = self._paths()
        if not found:
            self._create()
            return None
        if not resume:
            raise UsageError(
                f"{self.folder} holds the checkpoints of an earlier run",
                hint="go on with --resume, or name another folder with --checkpoint",
            )
        return self._newest(found)

    def save(self, stage: str, step: int, checkpoint: Checkpoint) -> Path:
        """Keep the state behind a step; of the older ones of the stage one stays."""
        path = self._write(stage, f"{step:09d}", checkpoint)
        for old in self._paths(stage, "[0-9]*")[:-KEPT]:
            old.unlink(missing_ok=True)
        return path

    def end(self, stage: str, checkpoint: Checkpoint) -> Path:
        """Keep the result of a stage, and nothing else of it."""
        path = self._write(stage, _END, checkpoint)
        for old in self._paths(stage, "[0-9]*"):
            old.unlink(missing_ok=True)
        return path

    def result(self, stage: str) -> Checkpoint | None:
        """The result of a stage; None where it has not ended."""
        path = self._path(stage, _END)
        return self._checked(path, read_checkpoint(path)) if path.exists() else None

    def _create(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise SparqcError(f"--checkpoint {self.folder}: {reason}") from error

    def _newest(self, paths: list[Path]) -> Checkpoint:
        problems: list[str] = []
        for path in reversed(paths):
            try:
                found = read_checkpoint(path)
            except SparqcError as error:
                problems.append(str(error))
                continue
            checked = self._checked(path, found)
            for problem in problems:
                self.say(f"{problem}; going on from {path.name}")
            return checked
        raise SparqcError(
            "no checkpoint can be read: " + "; ".join(problems),
            hint="start anew in another folder: --checkpoint DIR",
        )

    def _checked(self, path: Path, found: Checkpoint) -> Checkpoint:
        then = found.state.get("identity", {})
        if different := differences(self.identity.to_json(), then):
            raise SparqcError(
                f"{path} is a checkpoint of another run:\n    " + "\n    ".join(different),
                hint="resume with the model and the options of that run, or start anew in another "
                "folder: --checkpoint DIR",
            )
        return found

    def _write(self, stage: str, what: str, checkpoint: Checkpoint) -> Path:
        state = {**checkpoint.state, "stage": stage, "identity": self.identity.to_json()}
        path = self._path(stage, what)
        write_checkpoint(path, Checkpoint(checkpoint.tensors, state))
        return path

    def _path(self, stage: str, what: str) -> Path:
        return self.folder / f"{STAGES.index(stage) + 1}-{stage}-{what}{_SUFFIX}"

    def _paths(self, stage: str = "*", what: str = "*") -> list[Path]:
        """The checkpoints of a stage or of all, the oldest first."""
        return sorted(self.folder.glob(f"[12]-{stage}-{what}{_SUFFIX}"))

"""What a person may wish of one compile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparqc.errors import UsageError


@dataclass(frozen=True)
class Options:
    """What a person may wish of one compile, beside the model and its data."""

    passes: str = "default"
    #: A target profile's name; "" for the default one.
    target: str = ""
    #: Pattern files of their own.
    patterns: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    #: Selectors of operators whose weights stay dense.
    dense: tuple[str, ...] = ()
    #: A file that says of each layer how it is kept; see `sparqc.job.layers`.
    layers: Path | None = None
    #: The type of the operators that are not quantized: "fp32", "fp16", or "" for the target's own.
    float: str = ""
    #: The element types of inputs and outputs: "float" (the model's own), "fp16", "int8", or one by
    #: its name: "fp16,logits=float".
    io: str = "float"
    #: Knobs of the target's rules: "attention=int8".
    knobs: tuple[str, ...] = ()
    random_calibration: bool = False
    #: "off", "pass" or "rule": where each step is held to its word by running it.
    check: str = "off"
    #: Stop applying rules after so many applications, to find the one that breaks something.
    limit: int | None = None
    #: Names of passes that do not run, and of rules, fusions, shares and checks to do without.
    skip: tuple[str, ...] = ()


def make_options(**wishes: object) -> Options:
    """The options by name; UsageError for one that does not exist."""
    try:
        return Options(**wishes)  # type: ignore[arg-type]
    except TypeError as error:
        known = ", ".join(Options.__dataclass_fields__)
        raise UsageError(f"compile: {error}", hint=f"known options: {known}") from error

"""What is known of GPUs: the tables of the files `gpus.toml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from types import MappingProxyType

from sparqc.base.toml_tables import Table, tables
from sparqc.errors import UsageError, did_you_mean

#: The element types that sparse tensor cores multiply.
SPARSE_TYPES = frozenset({"i8", "f16", "bf16"})


@dataclass(frozen=True)
class Constants:
    """How kernels compare with the peaks, as GPUs of a generation showed that were timed.

    A table `[GENERATION.constants]` of `gpus.toml`.
    """

    name: str
    #: The names of the witnesses that they were fitted to (`sparqc.predict.witnesses`).
    witnesses: tuple[str, ...]
    #: What else is known of them: how far off the estimates are.
    off: str
    #: Microseconds until a kernel begins, in a graph launch.
    launch: float
    #: The shares of the peaks that products reach: in INT8, in floats, and of the sparse peaks.
    int8: float
    floats: float
    int8_sparse: float
    floats_sparse: float
    #: The share of the memory's bandwidth.
    bandwidth: float
    #: Channels are padded to multiples of these, in memory and in products.  INT8 pads to that of
    #: FP16 where there are no more.
    int8_channels: int
    fp16_channels: int
    #: Pixels times channels of the smallest tile that an SM computes.
    tile: int


@dataclass(frozen=True)
class Generation:
    """A generation of GPUs: a table of `gpus.toml` without the key `generation`.

    The rates are operations that one SM begins in each clock, dense; a multiply-add is two.
    """

    name: str
    doc: str
    #: On CUDA cores.
    fp32: float
    #: On tensor cores; None where it has none of that type, or no figure is known.
    fp16: float
    int8: float
    constants: Constants
    tf32: float | None = None
    fp8: float | None = None
    #: Whether tensor cores take 2:4 weights, at twice these rates.
    sparse: bool = True
    #: What people call the generation that the constants are of, where it is another one.
    constants_of: str = ""


@dataclass(frozen=True)
class Gpu:
    """A GPU; its rates in 10^12 operations a second, dense, where one multiply-add is two."""

    name: str
    doc: str
    generation: Generation
    #: Streaming multiprocessors, and their boost clock in GHz.
    sms: int
    clock: float
    #: GB/s of its memory, MB of its L2 cache.
    bandwidth: float
    l2: float
    #: The maker's document.
    source: str
    #: INT8 where it is not what the generation's rate gives.
    own_int8: float | None = None
    #: The same for TF32.
    own_tf32: float | None = None
    #: Whether it runs JetPack, for which not every release of a compiler exists.
    jetpack: bool = False
    #: Whether it is shown to a person who names none.
    default: bool = False

    def _tera(self, rate: float) -> float:
        return rate * self.sms * self.clock / 1e3

    @property
    def int8(self) -> float:
        """INT8 products on tensor cores."""
        return self.own_int8 or self._tera(self.generation.int8)

    @property
    def int8_sparse(self) -> float | None:
        """The same with 2:4 weights, None where it has no sparse tensor cores."""
        return 2 * self.int8 if self.generation.sparse else None

    @property
    def fp16(self) -> float:
        """FP16 and BF16 products on tensor cores."""
        return self._tera(self.generation.fp16)

    @property
    def fp8(self) -> float | None:
        """FP8 products on tensor cores, None where it has none."""
        return self._tera(self.generation.fp8) if self.generation.fp8 else None

    @property
    def tf32(self) -> float | None:
        """TF32 products on tensor cores, None where no figure is known."""
        return self.own_tf32 or (self._tera(self.generation.tf32) if self.generation.tf32 else None)

    @property
    def fp32(self) -> float:
        """FP32 on CUDA cores."""
        return self._tera(self.generation.fp32)

    def peak(self, dtype: str, sparse: bool = False) -> float:
        """Operations a second for a kernel that computes in i8, f16, bf16 or f32.

        FP32 products run in TF32 where the GPU has it, as compilers let them by default; these
        have no 2:4 kernels.
        """
        twice = 2 if sparse and self.takes_sparse(dtype) else 1
        if dtype == "i8":
            return 1e12 * self.int8 * twice
        if dtype in ("f16", "bf16"):
            return 1e12 * self.fp16 * twice
        return 1e12 * (self.tf32 or self.fp32)

    def takes_sparse(self, dtype: str) -> bool:
        """Whether there are 2:4 kernels of that type."""
        return self.generation.sparse and dtype in SPARSE_TYPES

    @property
    def borrowed(self) -> str:
        """A sentence where the constants are those of another generation, else ""."""
        if not self.generation.constants_of:
            return ""
        return f"constants of {self.generation.constants_of}; no witness for {self.generation.doc}"

    @property
    def loses_to_fp8(self) -> str:
        """A sentence where INT8 is slower than FP8, else ""."""
        if self.fp8 is None or self.int8 >= self.fp8:
            return ""
        return (
            "an INT8 file loses to one in FP8 here: "
            f"{self.int8:.0f} * 10^12 operations a second in INT8, {self.fp8:.0f} in FP8"
        )


@cache
def gpus() -> Mapping[str, Gpu]:
    """Every GPU by name, in the order of the files; SparqcError where a file is broken."""
    found = tables("gpus.toml", "GPUs")
    kinds = {name: table for name, table in found.items() if "generation" not in table.values}
    rows = ((name, table) for name, table in found.items() if name not in kinds)
    return MappingProxyType({name: _gpu(table, kinds) for name, table in rows})


def _gpu(table: Table, kinds: Mapping[str, Table]) -> Gpu:
    named = table.values["generation"]
    made = _without(table, "generation").read_as(
        Gpu, generation=_generation(str(named), kinds, table)
    )
    _above_zero(made, table)
    return made


def _generation(name: str, kinds: Mapping[str, Table], asked_by: Table) -> Generation:
    table = _named(name, kinds, asked_by)
    own, like = _constants(table), table.values.get("like", "")
    if (own is None) != bool(like):
        raise table.error("a generation has `constants` of its own, or is `like` another one")
    constants, constants_of = own, ""
    if like:
        other = _named(str(like), kinds, table)
        constants, constants_of = _constants(other), str(other.values.get("doc", other.name))
    if constants is None:
        raise table.error(f"it is like {like!r}, which has no constants of its own")
    made = _without(table, "constants", "like").read_as(
        Generation, constants=constants, constants_of=constants_of
    )
    _above_zero(made, table)
    return made


def _without(table: Table, *keys: str) -> Table:
    return replace(table, values={k: v for k, v in table.values.items() if k not in keys})


def _constants(table: Table) -> Constants | None:
    """What the table of a generation says of kernels."""
    values = table.values.get("constants")
    if not isinstance(values, dict):
        return None
    own = Table(f"{table.name}.constants", values, table.file)
    constants = own.read_as(Constants)
    _above_zero(constants, own)
    return constants


def _named(name: str, kinds: Mapping[str, Table], asked_by: Table) -> Table:
    if name not in kinds:
        raise asked_by.error(f"there is no generation {name!r}", did_you_mean(name, kinds))
    return kinds[name]


def _above_zero(made: Generation | Constants | Gpu, table: Table) -> None:
    if not all(value > 0 for value in _figures(made)):
        raise table.error("every figure has to be above 0")


def _figures(made: Generation | Constants | Gpu) -> Iterator[float]:
    for field in fields(made):
        value = getattr(made, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield value


def gpu(name: str) -> Gpu:
    """The GPU of that name; UsageError where there is none."""
    known = gpus()
    if name.lower() not in known:
        hint = did_you_mean(name.lower(), known) or f"known: {', '.join(known)}"
        raise UsageError(f"nothing is known of a GPU {name!r}", hint=hint)
    return known[name.lower()]


def default_gpus() -> tuple[Gpu, ...]:
    """The GPUs of a person who names none."""
    return tuple(g for g in gpus().values() if g.default)

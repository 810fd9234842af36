"""What passes found out, for later passes and for the report: one record of each type."""

from __future__ import annotations

from typing import TypeVar, cast, overload

R = TypeVar("R")
D = TypeVar("D")


class Facts:
    """Records by their types: `facts.get(Placement)` is the `Placement` that was put, or None.

    A record is a dataclass beside the pass that makes it.  A pass of anybody's may put one of its
    own; a second record of a type takes the place of the first.
    """

    def __init__(self, *records: object) -> None:
        self._records: dict[type, object] = {}
        for record in records:
            self.put(record)

    def put(self, record: object) -> None:
        """Leave a record; one of the same type goes."""
        self._records[type(record)] = record

    @overload
    def get(self, kind: type[R]) -> R | None: ...
    @overload
    def get(self, kind: type[R], default: D) -> R | D: ...
    def get(self, kind: type[R], default: D | None = None) -> R | D | None:
        """The record of a type; the default where no pass has put one."""
        return cast("R | D | None", self._records.get(kind, default))

    def __getitem__(self, kind: type[R]) -> R:
        """The record of a type; KeyError where no pass has put one."""
        return cast(R, self._records[kind])

    def __contains__(self, kind: type) -> bool:
        return kind in self._records

    def since(self, earlier: Facts) -> tuple[object, ...]:
        """The records that were put behind an earlier copy, in the order of their first ones."""
        known = earlier._records
        return tuple(r for kind, r in self._records.items() if known.get(kind) is not r)

    def copy(self) -> Facts:
        """The same records; what is put into the one does not show in the other."""
        return Facts(*self._records.values())

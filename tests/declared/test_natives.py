"""Registering natives, and what their signatures say."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sparqc.declared.natives import describe, native, natives
from sparqc.errors import SparqcError
from sparqc.ir.graph import Array, Value


def kinds(function):
    return [(p.name, p.kind, p.optional) for p in describe("f", function).parameters]


def test_annotations_say_what_a_parameter_is_given():
    def f(
        w: Array,
        b: Array | None,
        x: Value,
        y: Value | None,
        shape: tuple[int, ...],
        epsilon: float,
        anything=None,
        many: NDArray[np.float32] | None = None,
    ) -> bool:
        return True

    assert kinds(f) == [
        ("w", "array", False), ("b", "array", True), ("x", "value", False), ("y", "value", True),
        ("shape", "plain", False), ("epsilon", "plain", False), ("anything", "plain", False),
        ("many", "array", True),
    ]  # fmt: skip


def test_lists_of_arrays_and_values():
    def f(arrays: tuple[Array, ...], *values: Value) -> bool:
        return True

    assert kinds(f) == [("arrays", "array", False), ("values", "value", False)]


@pytest.mark.parametrize(
    ("function", "fits"),
    [
        (lambda a, b: 0, {2}),
        (lambda a, b=1: 0, {1, 2}),
        (lambda *a: 0, {0, 1, 2, 3}),
        (lambda a, *b: 0, {1, 2, 3}),
        (lambda: 0, {0}),
    ],
)
def test_arity(function, fits):
    assert {count for count in range(4) if describe("f", function).takes(count)} == fits


def test_a_registered_function_is_found_and_stays_itself():
    @native("test_twice_the_size")
    def twice(w: Array) -> int:
        """Twice as many."""
        return 2 * w.size

    found = natives()["test_twice_the_size"]
    assert found.function is twice
    assert found.doc == "Twice as many."
    assert found.module == __name__


def test_a_clash_names_both_functions():
    @native("test_clash")
    def one(w: Array) -> int:
        return 1

    native("test_clash")(one)  # the same function again, as a reload gives it
    with pytest.raises(SparqcError, match=r"@test_clash: .*one and .*two"):

        @native("test_clash")
        def two(w: Array) -> int:
            return 2

    assert natives()["test_clash"].function is one


def test_the_registry_cannot_be_changed_from_outside():
    with pytest.raises(TypeError):
        natives()["x"] = None  # type: ignore[index]

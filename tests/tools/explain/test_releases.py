"""Which versions of compilers are taken for an engine of a target."""

from __future__ import annotations

import re

import pytest

from sparqc.errors import UsageError
from sparqc.tools.explain.releases import built_with


@pytest.mark.parametrize(
    ("version", "target", "number"),
    [
        ("10.3", "tensorrt-10", "10.3"), ("v8.4", "tensorrt-8.6", "8.4"),
        ("TensorRT 11.1.0.106", "tensorrt-11", "11.1.0.106"),
        ("TensorRT-RTX 1.7", "tensorrt-rtx", "1.7"), ("1.3", "tensorrt-rtx", "1.3"),
    ],
)  # fmt: skip
def test_versions_are_numbers_of_the_target(version: str, target: str, number: str) -> None:
    assert built_with(version, target) == number


@pytest.mark.parametrize(
    ("version", "target", "sentence", "hint"),
    [
        ("", "tensorrt-10", "does not say it", "--built-with 10.3"),
        ("new", "tensorrt-10", "no version of a compiler", "10.3"),
        ("8.4", "tensorrt-11", "the prediction is for tensorrt-11", "--target tensorrt-8.6"),
        ("12.0", "tensorrt-11", "built with TensorRT 12.0", "there is no target for it"),
        ("TensorRT-RTX 1.7", "tensorrt-11", "TensorRT-RTX 1.7", "--target tensorrt-rtx"),
    ],
)  # fmt: skip
def test_unknown_versions_are_told(version: str, target: str, sentence: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)) as told:
        built_with(version, target)
    assert hint in told.value.hint

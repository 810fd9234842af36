"""The pattern files that come with sparqc have no findings, warnings included."""

import pytest

from sparqc.declared.natives import natives
from sparqc.ir.vocabulary.table import default_table
from sparqc.lang.ast import PatternFile
from sparqc.lang.check.checks import check_file
from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_text
from sparqc.pipeline.catalogue import passes
from sparqc.pipeline.installed import pattern_files

FILES = [parse_text(file.read(), file.label) for file in pattern_files()]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_an_installed_file_has_no_findings(file: PatternFile) -> None:
    passes()  # their packages bring the natives
    assert [str(f) for f in check_file(file, default_table(), natives(), FILES)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_an_installed_file_survives_formatting(file: PatternFile) -> None:
    assert parse_text(format_file(file), file.path) == file

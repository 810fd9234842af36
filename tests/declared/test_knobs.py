"""Knobs whose default is a figure of the GPU, and what a file of knobs may not say."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparqc.base import toml_tables
from sparqc.base.plugins import DataFile
from sparqc.declared import knobs as module
from sparqc.declared.gpus import default_gpus, gpu
from sparqc.declared.knobs import knob, knobs, knobs_of
from sparqc.errors import SparqcError, UsageError

Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lets a text be the only knobs.toml."""

    def install(text: str) -> None:
        path = tmp_path / "knobs.toml"
        path.write_text(text)
        file = DataFile(str(path), "box", path)
        monkeypatch.setattr(module, "tables", lambda *_: toml_tables.tables_of([file], "knobs"))
        knobs.cache_clear()

    yield install
    monkeypatch.undo()
    knobs.cache_clear()


def test_the_figures_of_a_gpu_stand_in_its_own_table() -> None:
    a100 = default_gpus()[0]
    assert knob("multiprocessors").default == str(a100.sms) == "108"
    assert knob("l2_cache").read(knob("l2_cache").default) == a100.l2
    assert knobs_of(gpu("orin-nx-16gb")) == ("multiprocessors=8", "l2_cache=4")
    folder = Path(__file__).parents[2] / "patterns" / "tensorrt"
    found = tomllib.loads((folder / "knobs.toml").read_text())
    assert {name for name, table in found.items() if "gpu" in table} == {
        "multiprocessors", "l2_cache",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('default = "1"\ngpu = "sms"', "either a `default` or the figure of a `gpu`"),
        ("", "either a `default` or the figure of a `gpu`"),
        ('gpu = "clock"', "a GPU has no figure 'clock'"),
        ('gpu = "sms"\nat_least = 1000', "is 1000 or more"),
    ],
)
def test_what_a_knob_cannot_be(lines: str, message: str, install: Install) -> None:
    install(f'[box]\ndoc = "A box."\n{lines}\n')
    with pytest.raises(SparqcError, match=message):
        knobs()


@pytest.mark.parametrize("name", [k.name for k in knobs().values() if not k.values])
def test_sizes_ratios_and_counts_are_not_negative(name: str) -> None:
    with pytest.raises(UsageError, match=rf"the knob '{name}' is \d or more, not '-1'"):
        knobs()[name].read("-1")

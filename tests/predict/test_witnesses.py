"""Reading witnesses: those of the pattern packages, of one's own, and broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparqc.declared.gpus import gpus
from sparqc.errors import SparqcError, UsageError
from sparqc.predict.witness import SeenKernel, Witness
from sparqc.predict.witnesses import witness, witnesses

GOOD = """\
[mine]
gpu = "a40"
compiler = "a compiler"
version = "10.3"
batch = 8
quantized = "q-dq"
kernels = [
    {operator = "conv", k = 64, c = 32, rows = 512, computes = "int8", kernel = [3, 3], \
stride = [1, 1], eligible = true, sparse = true, sparse_us = 5},
]
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_the_public_engines_are_there() -> None:
    known = witnesses()
    int8, fp16 = known["unet-resnet34-int8"], known["unet-resnet34-fp16"]
    assert [(w.timed, w.sparse, w.told) for w in (int8, fp16)] == [(36, 29, 35), (36, 31, 35)]
    assert known["resnet18-qat"].timed == len(known["resnet18-qat"].kernels) == 21
    assert known["mobilenet-v2-qat"].told == 0


@pytest.mark.parametrize("seen", witnesses().values(), ids=lambda seen: str(seen.name))
def test_every_public_witness_has_a_source_and_terms(seen: Witness) -> None:
    assert seen.head.source and seen.head.license and seen.head.network


def test_constants_rest_on_witnesses_of_their_generation() -> None:
    for known in gpus().values():
        generation = known.generation
        if generation.constants_of:
            continue
        named = [witness(name) for name in generation.constants.witnesses]
        assert named and {w.gpu.generation.name for w in named} == {generation.name}


def test_a_folder_of_ones_own_counts_too(tmp_path: Path) -> None:
    mine = witnesses([written(tmp_path / "w", GOOD)])["mine"]
    assert mine.kernels == (
        SeenKernel("conv", 64, 32, 512, "int8", (3, 3), (1, 1), eligible=True, sparse=True,
                   sparse_us=5),
    )  # fmt: skip
    assert (mine.engine, mine.file) == ("A40, a compiler 10.3", str(tmp_path / "w" / "mine.toml"))
    assert "mine" not in witnesses()
    assert witnesses([tmp_path / "w" / "mine.toml"])["mine"] == mine


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"a40"', '"a41"', "nothing is known of a GPU 'a41'"),
        ('"10.3"', '"ten"', "version = 'ten' is no number of a release"),
        ("batch = 8", "batch = 0", "batch = 0 has to be above 0"),
        ("batch = 8\n", "", "'batch' is missing"),
        ("k = 64", "k = -1", "kernels, entry 1]: k = -1 has to be above 0"),
        ("k = 64", 'k = "64"', "entry 1]: 'k' takes an integer"),
        ("[3, 3]", "[0, 3]", "kernel = 0 has to be above 0"),
        ("= 5}", "= nan}", "sparse_us = nan has to be above 0"),
        ("rows = 512", "row = 512", "unknown key 'row'"),
        ('"int8",', '"int9",', "'computes' takes one of"),
        ("eligible = true, ", "", "cannot have run of what is not eligible"),
        ("kernels = [\n", "kernels = [3,\n", "`kernels` is no list of tables"),
        (GOOD[GOOD.index("kernels") :], "", "neither kernels nor a time"),
        (GOOD[GOOD.index("},") :], "", "at the end of the file, which may be cut"),
        (GOOD, "", "holds no witness"),
        (GOOD, "a = 3", "table [a]: is no table"),
    ],
)
def test_a_damaged_file_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in GOOD
    with pytest.raises(SparqcError) as told:
        witnesses([written(tmp_path / "w", GOOD.replace(old, new))])
    assert sentence in str(told.value) and "mine.toml" in str(told.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    written(tmp_path / "w", "")
    (tmp_path / "w" / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"mine\.toml cannot be read: it is not text"):
        witnesses([tmp_path / "w"])


def test_two_witnesses_of_one_name_are_told(tmp_path: Path) -> None:
    written(tmp_path / "w", GOOD)
    with pytest.raises(SparqcError, match="two witnesses are named 'mine'") as told:
        witnesses([written(tmp_path / "w", GOOD, "twice.toml")])
    assert "mine.toml and in" in str(told.value) and "distribution ''" not in str(told.value)


def test_a_folder_without_witnesses_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no witness in"):
        witnesses([tmp_path])
    with pytest.raises(UsageError, match="no file and no folder"):
        witnesses([tmp_path / "elsewhere"])


def test_a_name_that_nobody_has_is_told() -> None:
    with pytest.raises(UsageError, match="no witness 'unet-resnet34-int4'"):
        witness("unet-resnet34-int4")

"""What is known of GPUs: NVIDIA's figures, generations and their constants, and broken tables."""

import pytest

from sparqc.base.plugins import DataFile
from sparqc.base.toml_tables import Table
from sparqc.declared import gpus as module
from sparqc.declared.gpus import default_gpus, gpu, gpus
from sparqc.errors import SparqcError, UsageError

#: Dense INT8, FP16, and FP32 in 10^12 operations a second, as NVIDIA's data sheets give them
#: (figures with sparsity halved).
DATA_SHEETS = {
    "a100-sxm-80gb": (624, 312, 19.5), "a40": (299.3, 149.7, 37.4), "a30": (330, 165, 10.3),
    "a10": (250, 125, 31.2), "a2": (36, 18, 4.5), "t4": (130, 65, 8.1), "l4": (242.5, 121, 30.3),
    "l40s": (733, 362.05, 91.6), "rtx-3090": (284, 142, 35.6), "rtx-4090": (660.6, 330.3, 82.6),
    "rtx-5090": (838, 419, 104.8), "h100-pcie": (1513, 756.5, 51), "h100-sxm": (1979, 989.5, 67),
    "h200": (1979, 989.5, 67), "b200": (4500, 2250, 75), "b300": (150, 2250, 75),
    "orin-agx-64gb": (85, 42.5, 5.3), "orin-agx-32gb": (54, 27, 3.3), "orin-nx-16gb": (30, 15, 1.9),
    "orin-nx-16gb-super": (38.5, 19.3, 2.4), "orin-nano-8gb": (20, 10, 1.28),
    "orin-nano-8gb-super": (33.5, 16.7, 2.1), "thor-t5000": (517, 258.5, 8.06),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA_SHEETS)
def test_the_rates_times_the_clock_are_the_figures_of_the_data_sheets(name):
    int8, fp16, fp32 = DATA_SHEETS[name]
    known = gpu(name)
    assert known.int8 == pytest.approx(int8, rel=0.025)
    assert known.fp16 == pytest.approx(fp16, rel=0.025)
    assert known.fp32 == pytest.approx(
        fp32, rel=0.08
    )  # Hopper and Blackwell give it at a higher clock


@pytest.mark.parametrize("known", gpus().values(), ids=str)
def test_every_gpu_is_complete(known):
    assert known.source and known.generation.constants.witnesses
    assert 60 < known.bandwidth < 10_000 and 1 < known.l2 < 200 and known.sms >= 8
    assert known.int8_sparse is None or known.int8_sparse == 2 * known.int8


def test_gpus_are_found_by_name():
    assert gpu("A40").bandwidth == 696
    assert default_gpus()
    with pytest.raises(UsageError, match="a40"):
        gpu("a41")


def test_constants_belong_to_a_generation_and_who_has_none_says_whose_they_are():
    assert gpu("a100-sxm-80gb").borrowed == gpu("rtx-3090").borrowed == ""
    assert gpu("a40").generation == gpu("rtx-3090").generation
    assert gpu("a40").generation.constants.int8 > gpu("a30").generation.constants.int8
    assert gpu("l4").borrowed == "constants of Ampere GA102; no witness for Ada"
    assert gpu("l4").generation.constants == gpu("a40").generation.constants


def test_where_int8_was_cut_a_sentence_says_that_fp8_is_faster():
    assert gpu("b300").loses_to_fp8 == (
        "an INT8 file loses to one in FP8 here: "
        "150 * 10^12 operations a second in INT8, 4500 in FP8"
    )
    assert [g.name for g in gpus().values() if g.loses_to_fp8] == ["b300"]


def test_products_in_fp32_run_in_tf32_and_have_no_sparse_kernels():
    known = gpu("a100-sxm-80gb")
    assert known.peak("f32") == pytest.approx(156e12, rel=0.01)
    assert known.peak("f32", sparse=True) == known.peak("f32")
    assert known.peak("f16", sparse=True) == 2 * known.peak("f16")
    assert gpu("t4").peak("i8", sparse=True) == gpu("t4").peak("i8")


GENERATION = {"doc": "G", "fp32": 1, "fp16": 1, "int8": 2}
CONSTANTS = {
    "witnesses": ["w"], "off": "o", "launch": 3, "int8": 0.5, "floats": 0.5, "int8_sparse": 0.4,
    "floats_sparse": 0.4, "bandwidth": 0.5, "int8_channels": 32, "fp16_channels": 8, "tile": 2048,
}  # fmt: skip
GPU = {
    "doc": "X", "generation": "g", "sms": 1, "clock": 1, "bandwidth": 1, "l2": 1, "source": "none",
}  # fmt: skip


def read(monkeypatch, **found):
    file = DataFile("mine/gpus.toml", "mine", None)
    known = {name: Table(name, values, file) for name, values in found.items()}
    monkeypatch.setattr(module, "tables", lambda *_: known)
    return module.gpus.__wrapped__()


def test_a_gpu_of_a_plug_in_is_read(monkeypatch):
    made = read(monkeypatch, g={**GENERATION, "constants": CONSTANTS}, x=GPU)["x"]
    assert (made.int8, made.generation.constants.launch) == (0.002, 3)


@pytest.mark.parametrize(
    ("kind", "changed", "sentence"),
    [
        ({**GENERATION, "constants": CONSTANTS}, {"generation": "h"}, "no generation 'h'"),
        (GENERATION, {}, "has `constants` of its own, or is `like` another"),
        ({**GENERATION, "like": "g"}, {}, "like 'g', which has no constants"),
        ({**GENERATION, "constants": CONSTANTS, "like": "g"}, {}, "or is `like` another"),
        ({**GENERATION, "constants": {**CONSTANTS, "int8": 0}}, {}, "above 0"),
        ({**GENERATION, "constants": {}}, {}, "'witnesses' is missing"),
        ({**GENERATION, "constants": CONSTANTS}, {"sms": 0}, "above 0"),
        ({**GENERATION, "constants": CONSTANTS, "fp32": -1}, {}, "above 0"),
        ({**GENERATION, "constants": CONSTANTS, "constants_of": "h"}, {}, "constants_of"),
        ({**GENERATION, "constants": CONSTANTS}, {"int9": 2}, "unknown key 'int9'"),
    ],
)
def test_broken_tables_are_refused(monkeypatch, kind, changed, sentence):
    with pytest.raises(SparqcError, match=sentence):
        read(monkeypatch, g=kind, x={**GPU, **changed})

"""When 2:4 pays: the `pays` blocks against what real engines chose."""

import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from sparqc.job.open import new_job
from sparqc.job.options import Options
from sparqc.lang.ast import FusionDecl
from sparqc.lang.parse.parser import parse_text
from sparqc.match.payoff import unlikely_to_pay
from sparqc.match.rulebook import RuleBook
from sparqc.pipeline.library import rulebook
from sparqc.predict.predict import predict_graph
from sparqc.predict.witnesses import witness
from tests.engine_models import Net
from tests.predict.sparse_witness import (
    GAINED_2_US,
    LAYERS,
    Layer,
    engine_of,
    name_of,
    verdicts,
)


def wrong(dtype, knobs=()):
    """The layers whose choice is not the predicted one, and precision and recall."""
    pays = verdicts(dtype, knobs)
    seen = [chosen(layer, dtype) for layer in LAYERS]
    right = sum(p and s for p, s in zip(pays, seen, strict=True))
    missed = {x.shape for x, p, s in zip(LAYERS, pays, seen, strict=True) if p != s}
    return missed, right / sum(pays), right / sum(seen)


def chosen(layer: Layer, dtype):
    return layer.int8_sparse if dtype == "int8" else layer.fp16_sparse


def test_all_36_layers_in_int8_are_as_the_builder_chose():
    assert wrong("int8") == (set(), 1, 1)


def test_34_of_36_layers_in_fp16_are_as_the_builder_chose():
    missed, precision, recall = wrong("fp16")
    assert missed == GAINED_2_US and precision == 1 and recall == pytest.approx(29 / 31)


@pytest.mark.parametrize("factor", [0.8, 1.2])
@pytest.mark.parametrize(
    "number", ["128 * numbers", "256 * numbers", "96 * 128", ">= 3072", ">= 6144"]
)
def test_no_number_of_the_rule_is_tuned_to_a_layer(number, factor, monkeypatch):
    """A fifth more or less of any of them changes no verdict on the 72."""
    book = RuleBook(_moved(number, factor).declarations)

    def asked(fusion, *rest):
        pays = cast(FusionDecl, book.find(fusion.name)).pays
        return unlikely_to_pay(replace(fusion, pays=pays), *rest)

    monkeypatch.setattr("sparqc.predict.ledger.unlikely_to_pay", asked)
    assert wrong("int8")[0] == set()
    assert wrong("fp16")[0] == GAINED_2_US


def _moved(number, factor):
    """The fusions with one number of the `pays` blocks changed."""
    file = next(
        f for f in rulebook().files if Path(f.path).parts[-2:] == ("tensorrt", "fusions.spq")
    )
    text = Path(file.path).read_text(encoding="utf-8")
    value = re.search(r"\d+", number)[0]
    assert number in text
    return parse_text(text.replace(number, number.replace(value, str(round(int(value) * factor)))))


@pytest.mark.parametrize(
    "knob", ["l2_cache=32", "l2_cache=48", "multiprocessors=88", "multiprocessors=130"]
)
def test_nor_is_a_number_of_the_gpu(knob):
    assert wrong("int8", (knob,))[0] == set()
    assert wrong("fp16", (knob,))[0] == GAINED_2_US


# -- other engines -----------------------------------------------------------------------------

PROJECTIONS = witness("qwen2-5-projections")
ADA = (f"multiprocessors={PROJECTIONS.gpu.sms}", f"l2_cache={PROJECTIONS.gpu.l2:.0f}")


@pytest.mark.parametrize("seen", PROJECTIONS.kernels, ids=lambda seen: f"{seen.k}x{seen.c}")
def test_matrix_products_of_few_rows_pay_by_their_weights(seen):
    # Of k the source says nothing but that it does not stand among those that ran sparse.
    assert product(seen.rows, seen.k, seen.c, ADA).pays.holds is bool(seen.sparse)


@pytest.mark.parametrize(("side", "pays"), [(192, False), (256, True), (512, True)])
def test_a_1x1_pays_from_256_channels_as_the_maintainers_say(side, pays):
    """NVIDIA/TensorRT#4065: "256 or above"; #3849: a 3x3 kernel counts nine times."""
    row = only(engine_of("int8", [(side, side, 1, 1, 32, False)]))
    assert row.pays.holds is pays
    assert only(engine_of("int8", [(64, 64, 3, 1, 64, False)])).pays.holds


def product(rows, k, c, knobs=()):
    net = Net(dims=(rows, c))
    y = net.op("Gemm", net.qdq("x"), net.weight("w", (k, c)), transB=1, name="fc")
    job = new_job(net.model(net.qdq(y)), options=Options(passes="", knobs=knobs))
    return only({row.node: row for row in predict_graph(job.graph, job.context).ledger})


def only(rows):
    (row,) = rows.values()
    return row


# -- sizes that are not known ------------------------------------------------------------------


def test_with_a_free_batch_a_layer_pays_that_does_at_some_batch():
    few = (128, 128, 3, 1, 16, False)  # 2 tiles for each image
    assert not only(engine_of("int8", [few], batch=1)).pays.holds
    assert only(engine_of("int8", [few], batch=128)).pays.holds
    assert only(engine_of("int8", [few], batch="n")).pays.holds
    assert not only(engine_of("int8", [few], batch="n", knobs=("batch=32",))).pays.holds


def test_what_pays_at_no_batch_does_not_with_a_free_one():
    row = only(engine_of("int8", [(128, 64, 1, 2, 32, True)], batch="n"))
    assert row.pays.reason == (
        "16 products for each number that it reads or writes, below 128: it waits for memory"
    )


def test_a_reason_says_what_decided():
    rows = engine_of("int8")
    add, strided = (512, 512, 3, 1, 8, True), (512, 256, 3, 2, 8, False)
    assert rows[name_of(strided)].pays.reason == (
        "108 multiprocessors share 1048576 results of only 2304 products each"
    )
    assert rows[name_of(add)].pays.reason == (
        "108 multiprocessors share 1048576 results of only 4608 products each, with an Add behind "
        "them"
    )
    half = engine_of("fp16")[name_of((64, 64, 3, 1, 64, True))]
    assert half.pays.reason == (
        "its data do not fit into 40 MB of L2 cache, and 192 products for each number are below "
        "256: it waits for memory"
    )
    assert half.pays.id == "two_four_small"

"""After another tool a compiled file is what it was, or `sparqc check` names what was lost."""

import logging

import pytest
import torch

from tests.survival.networks import NETWORKS
from tests.survival.other_tools import TOOLS
from tests.survival.outcome import FORMS, Outcome, outcome, state_before
from tests.survival.table import BEGIN, END, HEAD, PAGE, row

ROWS = [(tool, form) for tool in TOOLS for form in FORMS]
NAMES = [f"{tool.name}: {form}" for tool, form in ROWS]


@pytest.fixture(autouse=True)
def quiet():
    """The converters log what they do not support."""
    torch.set_num_threads(2)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def golden() -> dict[tuple[str, str], list[str]]:
    """The rows of the table in the page, by tool and form."""
    lines = PAGE.read_text().split(BEGIN)[1].split(END)[0].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines]
    assert cells[0] == list(HEAD)
    return {(line[0], line[2]): line for line in cells[2:]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network", NETWORKS)
def test_what_sparqc_writes_is_found_good(network, form):
    before = state_before(network, form)
    assert not before.errors
    assert before.int8 >= 4 and before.sparse >= 3 and len(before.rtx_int8) >= 4
    assert len(list(before.codes.elements())) == before.sparse


@pytest.mark.parametrize(("tool", "form"), ROWS, ids=NAMES)
def test_nothing_is_lost_in_silence(tool, form):
    outcomes = {network: outcome(tool, network, form) for network in NETWORKS}
    for network, done in outcomes.items():
        assert is_named(done), network
    # `python benchmarks/survival_table.py` makes the table anew, with the versions of
    # constraints.txt.
    assert golden()[tool.name, form] == row(tool, form)


def is_named(done: Outcome) -> bool:
    """Whether findings speak of what was lost: of each layer, where TensorRT-RTX takes the file."""
    if done.after is None:
        return bool(done.refusal)  # the tool wrote nothing
    if done.unharmed:
        return True
    after = done.after.rtx_int8
    lost = set() if after is None else set(done.before.rtx_int8).difference(after)
    return bool(done.found) and lost <= done.after.finding_nodes


def test_the_golden_table_has_all_rows():
    assert list(golden()) == [(tool.name, form) for tool, form in ROWS]

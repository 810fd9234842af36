"""After another tool a compiled file is what it was, or `sparqc check` names what was lost."""

import logging

import pytest
import torch
from survival.networks import NETWORKS
from survival.other_tools import TOOLS
from survival.outcome import FORMS, outcome, state_before
from survival.table import BEGIN, END, HEAD, PAGE, row

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
    assert not before.findings
    assert before.int8 >= 4 and before.sparse >= 3 and len(before.rtx_int8) >= 4
    assert len(list(before.codes.elements())) == before.sparse


@pytest.mark.parametrize(("tool", "form"), ROWS, ids=NAMES)
def test_nothing_is_lost_in_silence(tool, form):
    for network in NETWORKS:
        done = outcome(tool, network, form)
        if done.after is None:
            assert done.refusal  # the tool wrote nothing
        elif not done.unharmed:
            assert done.after.findings, network
            if done.after.rtx_int8 is not None:
                lost = set(done.before.rtx_int8).difference(done.after.rtx_int8)
                assert lost <= done.after.finding_nodes, network


@pytest.mark.parametrize(("tool", "form"), ROWS, ids=NAMES)
def test_the_golden_table_says_the_same(tool, form):
    """`python benchmarks/survival.py` makes it anew, with the versions of constraints.txt."""
    assert golden()[tool.name, form] == row(tool, form)


def test_the_golden_table_has_all_rows():
    assert list(golden()) == [(tool.name, form) for tool, form in ROWS]

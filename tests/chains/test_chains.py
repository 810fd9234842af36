"""Random networks, compiled in every way: a few of those of benchmarks/random_networks.py."""

import pytest

from tests.chains.chain import Chain
from tests.chains.measure import measure

SEED = 1
#: Short chains: what fails in a long one most often fails in a short one.
LENGTH = 4


@pytest.mark.parametrize("index", range(0, 220, 22))
def test_a_random_network_compiles_to_what_it_is(index):
    network = Chain(SEED, index, LENGTH)
    found = measure(network, index, thorough=index == 0)
    assert not found.faults, "\n".join([", ".join(found.kinds), *found.faults])

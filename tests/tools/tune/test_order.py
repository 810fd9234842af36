"""What of a pipeline stays for a network whose masks were trained."""

import pytest

from sparqc.tools.tune.order import with_masks_held


@pytest.mark.parametrize(
    ("passes", "held"),
    [
        ("prune{method=auto, mixed=3}, distill, fold", "prune, fold"),
        (
            "prune{method=sparsegpt, dense=[heads]}, reestimate, place",
            'prune{dense=["heads"]}, reestimate, place',
        ),
        ("fold, place", "fold, place"),
    ],
)
def test_masks_and_weights_are_not_chosen_again(passes, held):
    assert with_masks_held(passes) == held

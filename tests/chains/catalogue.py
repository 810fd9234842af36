"""All blocks, in a fixed order."""

from tests.chains.block import Block
from tests.chains.blocks import (
    attending,
    filling,
    joining,
    norms,
    outside,
    picking,
    pointwise,
    reducing,
    scaling,
    shaping,
    weighted,
)

BLOCKS: tuple[Block, ...] = (
    *weighted.BLOCKS,
    *norms.BLOCKS,
    *pointwise.BLOCKS,
    *reducing.BLOCKS,
    *shaping.BLOCKS,
    *filling.BLOCKS,
    *joining.BLOCKS,
    *picking.BLOCKS,
    *scaling.BLOCKS,
    *attending.BLOCKS,
    *outside.BLOCKS,
)

"""Instances of a declaration, as Hypothesis draws them."""

from __future__ import annotations

from hypothesis import strategies as st

from sparqc.errors import SparqcError
from sparqc.ir.types import Level
from sparqc.lang.ast import Declaration
from sparqc.match.rulebook import RuleBook
from sparqc.tools.rules.trials.graphs.build import Builder, Instance, Unfit
from sparqc.tools.rules.trials.graphs.drawn import Draw, DrawnGenerator
from sparqc.tools.rules.trials.graphs.examples import from_example
from sparqc.tools.rules.trials.graphs.expand import Expansion, Unplanned
from sparqc.tools.rules.trials.graphs.surround import add_readers, steps_behind

#: The share of instances that are an example of the file with other sizes and numbers.
_FROM_EXAMPLES = 0.15


@st.composite
def instances(
    draw: Draw, decl: Declaration, level: Level, book: RuleBook, target: str
) -> Instance | None:
    """Graphs in which the match block is met, its conditions aside; None where what was drawn does
    not fit together."""
    random = DrawnGenerator(draw)
    if decl.examples and random.chance(_FROM_EXAMPLES):
        return from_example(decl, level, book, random)
    expansion = Expansion(random, book, level, target)
    try:
        block = expansion.expand(decl)
        steps_behind(expansion, block)
        builder = Builder(random, level, book.table)
        instance = builder.build(expansion.steps)
        add_readers(builder, block)
    except Unplanned:
        return from_example(decl, level, book, random) if decl.examples else None
    except (Unfit, SparqcError, ValueError, ZeroDivisionError):
        return None
    builder.graph.drop_dead()
    return instance

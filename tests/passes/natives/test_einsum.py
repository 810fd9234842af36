"""Which Einsums are matrix products, against numpy's einsum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.ir.text.parse import parse_statements
from sparqc.ir.vocabulary.table import default_table
from sparqc.passes.natives.einsum import is_matrix_product, product_orders, swapped_terms


def factors(equation, sizes):
    """Two random arrays for the terms of an equation, and the values that stand for them."""
    rng = np.random.default_rng(0)
    terms = equation.partition("->")[0].split(",")
    arrays = [rng.standard_normal([sizes[c] for c in term]) for term in terms]
    text = "".join(
        f"x{i}: f32{list(a.shape)}\ny{i} = nn.relu(x{i})\n" for i, a in enumerate(arrays)
    )
    graph = parse_statements(text, default_table(), "onnx")
    return arrays, [graph.value(f"x{i}") for i in range(2)]


def product(equation, arrays, values):
    """The Einsum as the matrix product that it is found to be; None where it is none."""
    for equation_, order in ((equation, (0, 1)), (swapped_terms(equation), (1, 0))):
        (a, b), (x, y) = ([of[i] for i in order] for of in (arrays, values))
        if is_matrix_product(equation_, x, y):
            p, q, r = product_orders(equation_, x, y)
            return (a.transpose(p) @ b.transpose(q)).transpose(r)
    return None


@given(st.data())
def test_any_order_of_axes_is_followed(data):
    batches, rows = (data.draw(st.text("pq", max_size=2).filter(distinct)) for _ in range(2))
    rows = "i" + rows.replace("p", "m").replace("q", "n")
    a, b = (data.draw(st.permutations(batches + more)) for more in (rows + "s", "sj"))
    c = data.draw(st.permutations(batches + rows + "j"))
    terms = [a, b] if data.draw(st.booleans()) else [b, a]
    equation = ",".join("".join(term) for term in terms) + "->" + "".join(c)
    arrays, values = factors(equation, dict(zip("pqimnsj", (2, 3, 4, 2, 3, 5, 6), strict=True)))
    np.testing.assert_allclose(
        product(equation, arrays, values), np.einsum(equation, *arrays), atol=1e-12
    )


def distinct(text):
    return len(set(text)) == len(text)


@pytest.mark.parametrize(
    "equation",
    [
        "bij,bij->bi",  # no columns
        "bi,bj->bij",  # nothing is summed over
        "bij,bjk->ik",  # the batches are summed over too
        "bii,bij->bij",  # a diagonal
        "ij,jk",  # the result is not named
        "btc,chd->bthd",  # two columns
    ],
)
def test_others_are_no_matrix_products(equation):
    arrays, values = factors(equation, dict.fromkeys("bcdhijkt", 3))
    assert product(equation, arrays, values) is None


def test_what_is_broadcast_along_the_sum_is_no_matrix_product():
    arrays, values = factors("is,tj->ij", {"i": 2, "s": 1, "t": 3, "j": 4})
    assert product("is,sj->ij", arrays, values) is None

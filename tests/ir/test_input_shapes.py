"""Input shapes: from the model, from the batch, from `--shape`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqc.errors import UsageError
from sparqc.ir.input_shapes import InputSpec, ShapeRange, input_ranges, parse_shape

IMAGE = InputSpec("x", ("batch", 3, 224, 224))
FIXED = InputSpec("x", (4, 3, 8, 8))

DIMS = st.lists(st.integers(0, 10**6), min_size=1, max_size=6).map(tuple)


@given(st.from_regex(r"[\w./:]{1,12}", fullmatch=True), DIMS, st.booleans())
def test_a_written_shape_is_read_back(name, dims, three):
    text = "x".join(map(str, dims))
    expected = (name, ShapeRange(dims, dims, dims))
    assert parse_shape(f"{name}:{','.join([text] * (3 if three else 1))}") == expected


def test_three_shapes_are_the_smallest_the_usual_and_the_largest():
    assert parse_shape("in:0:1x3,2x3,4x3") == ("in:0", ShapeRange((1, 3), (2, 3), (4, 3)))


@pytest.mark.parametrize(
    "text", ["x", "x:", ":1x3", "x:1x", "x:1x3,2x3", "x:axb", "x:-1x3", "x:1 x3"]
)
def test_anything_else_is_an_error_that_shows_the_form(text):
    with pytest.raises(UsageError, match="is not a shape") as caught:
        parse_shape(text)
    assert "name:8x3x224x224" in str(caught.value)


def test_a_free_batch_goes_from_one_to_the_wish():
    assert input_ranges([IMAGE], 16) == {
        "x": ShapeRange((1, 3, 224, 224), (16, 3, 224, 224), (16, 3, 224, 224))
    }
    assert input_ranges([IMAGE])["x"].opt[0] == 8


def test_dimensions_of_the_batch_s_name_follow_it_wherever_they_stand():
    transposed = InputSpec("mask", (7, "batch"))
    assert input_ranges([IMAGE, transposed], 2)["mask"] == ShapeRange((7, 1), (7, 2), (7, 2))


def test_a_fixed_model_needs_nothing():
    assert input_ranges([FIXED])["x"].fixed
    assert input_ranges([FIXED], 4)["x"].fixed
    with pytest.raises(UsageError, match="batch 8 does not fit"):
        input_ranges([FIXED], 8)


@pytest.mark.parametrize("dims", [("batch", "length"), ("", ""), (1, "length"), None])
def test_a_free_dimension_that_is_not_the_batch_has_to_be_given(dims):
    spec = InputSpec("tokens", dims)
    with pytest.raises(UsageError, match="'tokens'") as caught:
        input_ranges([spec])
    assert "--shape tokens:" in str(caught.value)
    assert input_ranges([spec], shapes={"tokens": (1, 128)})["tokens"].fixed


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3, 8), "does not fit"),
        ((4, 4, 8, 8), "does not fit"),
        (ShapeRange((4, 3, 8, 8), (2, 3, 8, 8), (8, 3, 8, 8)), "from the smallest"),
        (ShapeRange((4, 3), (4, 3, 8, 8), (4, 3, 8, 8)), "from the smallest"),
    ],
)
def test_a_shape_that_cannot_be_is_an_error(shape, message):
    with pytest.raises(UsageError, match=message):
        input_ranges([FIXED], shapes={"x": shape})


def test_an_unknown_input_is_an_error_that_names_the_known_ones():
    with pytest.raises(UsageError, match="no input 'imgae'") as caught:
        input_ranges([InputSpec("image", ("batch", 3))], shapes={"imgae": (1, 3)})
    assert "did you mean 'image'" in str(caught.value)


def test_a_batch_below_one_is_an_error():
    with pytest.raises(UsageError, match="at least 1"):
        input_ranges([IMAGE], 0)

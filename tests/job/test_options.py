"""The options of a compile by keyword: what is taken, and what a wrong one is answered."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

import sparqc
from sparqc.base.option_fields import option_fields
from sparqc.base.options import is_supported
from sparqc.errors import UsageError
from sparqc.job.options import Options, make_options


def refusal(**wishes: Any) -> str:
    with pytest.raises(UsageError) as caught:
        sparqc.compile(nn.ReLU(), **wishes)
    return str(caught.value)


def test_every_field_is_a_declared_option_of_a_type_that_is_checked() -> None:
    declared = option_fields(Options)
    assert list(declared) == list(Options.__dataclass_fields__)
    assert all(is_supported(o.kind) and o.help.endswith(".") for o in declared.values())
    assert len({o.flag for o in declared.values()}) == len(declared)


def test_a_lone_selector_is_a_list_of_one() -> None:
    assert make_options(exclude="first_conv", skip="fold") == Options(
        exclude=("first_conv",), skip=("fold",)
    )


def test_keywords_go_before_the_options_that_are_given_too() -> None:
    given = Options(passes="float", target="tensorrt-10")
    assert make_options(given, passes="int8") == Options(passes="int8", target="tensorrt-10")
    assert make_options(given) == given


def test_a_fixed_batch_is_no_wish_for_an_onnx_file() -> None:
    with pytest.raises(UsageError, match="--static is for PyTorch models"):
        sparqc.compile("model.onnx", dynamic_batch=False)


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"pases": "float"}, "there is no option 'pases'\n  did you mean 'passes'"),
        ({"knob": "a=b"}, "there is no option 'knob'\n  --knob of the command line is knobs="),
        ({"static": True}, "there is no option 'static'\n  --static of the command line is dyn"),
        (
            {"knobs": {"attention": "int8"}},
            "option 'knobs' takes a list of strings, not a value of",
        ),
        ({"passes": 3}, "option 'passes' takes a string, not 3"),
        ({"exclude": 3}, "option 'exclude' takes a list of strings, not 3"),
        ({"exclude": [nn.ReLU()]}, "option 'exclude' takes a list of strings, not [a value of"),
        ({"float": "fp61"}, "--float fp61: there is no such type\n  did you mean 'fp16'?"),
        ({"check": "rules"}, "--check rules: there is no such value\n  did you mean 'rule'?"),
        ({"limit": -1}, "--limit -1: it has to be at least 0"),
        ({"dynamic_batch": "no"}, "option 'dynamic_batch' takes true or false, not \"no\""),
        ({"options": {"passes": "float"}}, "options is a value of type dict, not sparqc.Options"),
    ],
)
def test_a_wrong_keyword_or_value_is_refused(wishes: dict[str, Any], says: str) -> None:
    assert refusal(**wishes).startswith(says)

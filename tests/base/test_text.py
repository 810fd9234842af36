"""Names and numbers in sentences."""

from sparqc.base.text import counted, shortened


def test_a_long_list_says_how_many_more_there_are():
    assert shortened(["a"]) == "a"
    assert shortened("abc") == "a, b, c"
    assert shortened("abcde") == "a, b, c and 2 more"
    assert shortened("abcde", 1) == "a and 4 more"


def test_one_is_no_plural():
    assert [counted(n, "Cast") for n in (0, 1, 2)] == ["0 Casts", "1 Cast", "2 Casts"]

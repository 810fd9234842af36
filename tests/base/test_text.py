"""Lists of names in sentences."""

from sparqc.base.text import shortened


def test_a_long_list_says_how_many_more_there_are():
    assert shortened(["a"]) == "a"
    assert shortened("abc") == "a, b, c"
    assert shortened("abcde") == "a, b, c and 2 more"
    assert shortened("abcde", 1) == "a and 4 more"

"""What TensorRT says, in plain words: some of them stand in files of the pattern packages."""

import pytest

from sparqc.base.plugins import DataFile
from sparqc.base.toml_tables import Table
from sparqc.errors import SparqcError
from sparqc.tools.engine import messages


def test_each_known_phrase_has_its_meaning():
    known = messages.known_messages()
    phrases = [phrase for message in known for phrase in message.phrases]
    assert len(set(phrases)) == len(phrases) >= 5
    for message in known:
        for phrase in message.phrases:
            assert messages.plain(f"Assertion failed: a && b: {phrase} here.") == message.meaning


def read(monkeypatch, **values):
    table = Table("odd", values, DataFile("mine/messages.toml", "mine", None))
    monkeypatch.setattr(messages, "tables", lambda *_: {"odd": table})
    messages.known_messages.cache_clear()
    try:
        return messages.plain("the moon is full: error 7")
    finally:
        messages.known_messages.cache_clear()


def test_another_package_has_words_of_its_own(monkeypatch):
    assert read(monkeypatch, phrases=["moon is full"], meaning="wait") == "wait"
    assert read(monkeypatch, phrases=["moon is new"], meaning="wait") == "the moon is full: error 7"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"phrases": ["moon"]}, "'meaning' is missing"),
        ({"phrases": "moon", "meaning": "wait"}, "'phrases'"),
        ({"phrase": ["moon"], "meaning": "wait"}, "unknown key 'phrase'"),
    ],
)
def test_a_broken_table_is_refused(monkeypatch, values, sentence):
    with pytest.raises(SparqcError, match=sentence):
        read(monkeypatch, **values)

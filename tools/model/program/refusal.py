"""What is raised where a file holds what could act when it is loaded."""

from __future__ import annotations


class Refusal(Exception):
    """The thing that was found, as the rest of the sentence "it holds …"."""


def excerpt(text: object) -> str:
    """A text of the file as a message shows it: quoted, in one line, and short."""
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:76]}…{shown[-1]}"

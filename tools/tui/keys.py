"""The list of keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS = """\
arrows, Tab   through a list, and from list to list
Enter         of a step: its lines in the graph; of an operator:
              why it is there; of an answer: its step
space         more of what is told below
Escape        back to what was looked at before

n  p          next step, step before, from pass to pass
j  k          next pass, pass before
u             show passes that changed nothing, or fold them

s             the steps of the pass: rules and decisions
d             what is new (+) and gone (-) in the graph
b  g          the graph before the pass, and behind it
l             what became of each layer, and why
w             why: all that led to an operator
/             find passes, operators, modules, rules
q             quit"""


class KeysScreen(ModalScreen[None]):
    """Shown until a key is pressed."""

    CSS = """
    KeysScreen { align: center middle; }
    #keys { width: auto; height: auto; padding: 0 2; border: solid $foreground; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape,question_mark,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        """One box."""
        yield Static(KEYS, id="keys", markup=False)

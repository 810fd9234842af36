"""The passes of a run at the side; neighbours that changed nothing are one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sparqc.tools.tui.row import printable
from sparqc.tools.tui.run_view import PassView

#: Columns of a name, and of what stands behind it.
NAME = 18


class Pipeline(OptionList):
    """The list of passes."""

    class Chosen(Message):
        """A pass is chosen."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, passes: Sequence[PassView], *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self.passes = passes
        self.is_folded = True
        #: The number of the pass in each line; None for passes that are folded.
        self.numbers: list[int | None] = []

    def on_mount(self) -> None:
        """Show the passes."""
        self._fill(0)

    @property
    def chosen(self) -> int | None:
        """The number of the pass that is marked; None for passes that are folded."""
        return self.numbers[self.highlighted or 0]

    def choose(self, number: int) -> None:
        """Mark a pass, unfolding it where it is folded; nobody is told."""
        if number not in self.numbers:
            self.is_folded = False
            self._fill(number)
        with self.prevent(OptionList.OptionHighlighted):
            self.highlighted = self.numbers.index(number)

    def unfold(self) -> None:
        """Show all passes, or fold those that changed nothing."""
        chosen = self.chosen
        if chosen is None:  # the first of those that are folded here
            chosen = (self.numbers[(self.highlighted or 0) - 1] or 0) + 1
        self.is_folded = not self.is_folded
        self._fill(chosen)
        if self.chosen is not None:
            self.post_message(self.Chosen(self.chosen))

    def _fill(self, chosen: int | None) -> None:
        lines = list(self._folded())
        self.numbers = [number for number, _ in lines]
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options([Option(Content(printable(text))) for _, text in lines])
            self.highlighted = self.numbers.index(chosen) if chosen in self.numbers else 0

    def _folded(self) -> Iterator[tuple[int | None, str]]:
        for is_shown, found in groupby(self.passes, lambda p: p.is_changed or not self.is_folded):
            group = list(found)
            if not is_shown:
                yield None, f"   {len(group)} unchanged"
            else:
                yield from ((p.number, _line(p)) for p in group)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell which pass is chosen."""
        event.stop()
        number = self.numbers[event.option_index]
        if number is not None:
            self.post_message(self.Chosen(number))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter unfolds passes that changed nothing."""
        event.stop()
        if self.numbers[event.option_index] is None:
            self.unfold()


def _line(found: PassView) -> str:
    """`08 place          30`: the number of its steps, or why it did not run."""
    if not found.number:
        return "00 as read"
    skipped = found.told["skipped"] if found.told else "failed"
    tail = str(skipped or len(found.steps))
    return f"{found.number:02} {found.name:<{NAME}.{NAME - len(tail)}}"[: -len(tail)] + tail

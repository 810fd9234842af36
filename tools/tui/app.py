"""The terminal view: passes at the side, the rows of one of them, and below what a row holds."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from sparqc.tools.tui.keys import KeysScreen
from sparqc.tools.tui.pipeline import Pipeline
from sparqc.tools.tui.row import Row, printable
from sparqc.tools.tui.run_view import RunView

#: How a row is shown: the sign that it begins with, or all of it.  Colour says nothing alone.
SIGNS = {"+": "bold $text-success", "-": "bold $text-error"}
WHOLE = {"#": "bold", "!": "bold"}


class RunApp(App[None]):
    """Looks at one run."""

    TITLE = "sparqc"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title, #where { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #title { text-style: bold; background: $panel; }
    #where { text-style: bold; }
    #passes { width: 24; height: 1fr; }
    #rows { height: 3fr; }
    #detail { height: 2fr; padding: 0 1; border-top: solid $foreground; }
    OptionList { border: none; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    OptionList > .option-list--option { padding: 0; }
    OptionList > .option-list--option-highlighted {
        color: $foreground; background: $background; text-style: underline;
    }
    OptionList:focus > .option-list--option-highlighted {
        color: $background; background: $foreground; text-style: bold;
    }
    #search { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    #search.open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "show('steps')", "Steps"),
        Binding("d", "show('diff')", "Diff"),
        Binding("b", "show('before')", "Before"),
        Binding("g", "show('graph')", "Graph"),
        Binding("l", "show('layers')", "Layers"),
        Binding("w", "why", "Why"),
        Binding("slash", "search", "Find", key_display="/"),
        Binding("question_mark", "keys", "Keys", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("n", "step(1)", show=False),
        Binding("p", "step(-1)", show=False),
        Binding("j", "pass(1)", show=False),
        Binding("k", "pass(-1)", show=False),
        Binding("u", "unfold", show=False),
        Binding("space", "more", show=False),
        Binding("escape,backspace", "go_back", show=False),
    ]

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view
        self.number, self.shows = 0, "steps"
        self.rows: list[Row] = []
        #: What was looked at before: pass, what of it, and the row.
        self._earlier: list[tuple[int, str, int | None]] = []

    def compose(self) -> ComposeResult:
        """The parts of the screen."""
        yield Static(self._literal(self.view.title), id="title")
        with Horizontal():
            yield Pipeline(self.view.passes, id="passes")
            with Vertical():
                yield Static(id="where")
                yield OptionList(id="rows", markup=False)
                with VerticalScroll(id="detail"):
                    yield Static(id="text")
        yield Input(id="search", placeholder="a pass, an operator, a module, a rule", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin with what is known of the run."""
        self.query_one("#passes").focus()
        self._fill()

    # -- what is shown ---------------------------------------------------------------------------

    @property
    def pipeline(self) -> Pipeline:
        """The passes at the side."""
        return self.query_one("#passes", Pipeline)

    @property
    def list(self) -> OptionList:
        """The rows."""
        return self.query_one("#rows", OptionList)

    @property
    def row(self) -> Row | None:
        """The row that is chosen."""
        chosen = self.list.highlighted
        return self.rows[chosen] if chosen is not None and chosen < len(self.rows) else None

    def _fill(self, at: int | None = 0) -> None:
        """Show the rows of what is looked at."""
        found = self.view.passes[self.number]
        kind, _, word = self.shows.partition(" ")
        title = f"{kind}: {found.title}"
        if kind == "why":
            self.rows, title = self.view.why(word), f"why: {word.removeprefix('%')}"
        elif kind == "find":
            self.rows, title = self.view.find(word), f"find: {word}"
        elif kind == "layers":
            self.rows, title = self.view.layers(), "layers with weights"
        elif kind == "diff":
            self.rows = self.view.diff(self.number)
        elif kind in ("before", "graph"):
            self.rows = self.view.graph(found.before if kind == "before" else found.after)
        else:
            self.rows, title = self.view.steps(self.number), found.title
        self.query_one("#where", Static).update(self._literal(title))
        self.list.set_options([Option(self._shown(row)) for row in self.rows])
        self.list.highlighted = min(at or 0, len(self.rows) - 1) if self.rows else None
        self._tell()

    def _tell(self) -> None:
        """Show below what the chosen row holds."""
        row = self.row
        text = row.detail() or row.text if row is not None else ""
        self.query_one("#text", Static).update(self._literal(text))
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)

    def _shown(self, row: Row) -> Content:
        text = self._literal(row.text.replace("\n", " "))
        if row.mark in SIGNS:
            return text.stylize(SIGNS[row.mark], 0, 1)
        return text.stylize(WHOLE.get(row.mark, ""))

    @staticmethod
    def _literal(text: str) -> Content:
        """Text in which no markup is read: names are anybody's."""
        return Content(printable(text))

    # -- what a person does ----------------------------------------------------------------------

    def _look(self, number: int, shows: str, at: int | None = 0) -> None:
        """Look at something else; Escape leads back."""
        if (number, shows) != (self.number, self.shows):
            self._earlier.append((self.number, self.shows, self.list.highlighted))
        self._move(number, shows, at)

    def _move(self, number: int, shows: str, at: int | None) -> None:
        self.number, self.shows = number, shows
        self.pipeline.choose(number)
        self._fill(at)

    def on_pipeline_chosen(self, event: Pipeline.Chosen) -> None:
        """Another pass is chosen at the side; by now it may be yet another one."""
        if event.number != self.number and event.number == self.pipeline.chosen:
            shows = self.shows if self.shows in ("diff", "before", "graph") else "steps"
            self._look(event.number, shows)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Another row is chosen."""
        if event.option_list is self.list:
            self._tell()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter leads from a step into the graph, from an operator to its story, and back."""
        row = self.row
        if event.option_list is not self.list or row is None:
            return
        if row.step is not None and self.shows == "steps":
            self._look(self.number, "diff")
            self._find_line(row.node)
        elif row.step is not None:
            self._look(row.step[0], "steps", row.step[1])
        elif row.node:
            self._look(self.number, f"why %{row.node}")

    def _find_line(self, node: str) -> None:
        """Choose the line of an operator, a new one first."""
        found = [i for i, row in enumerate(self.rows) if row.node == node]
        new = [i for i in found if self.rows[i].mark == "+"]
        if found:
            self.list.highlighted = (new or found)[0]

    def action_show(self, shows: str) -> None:
        """Look at the steps, the graphs or the layers."""
        self._look(self.number, shows)
        self.list.focus()

    def action_why(self) -> None:
        """Tell what led to the operator of the chosen row."""
        row = self.row
        if row is None or not row.node:
            self.notify("This row is about no operator. / finds one by its name.", markup=False)
            return
        self._look(self.number, f"why %{row.node}")
        self.list.focus()

    def action_pass(self, by: int) -> None:
        """The next pass that changed something, or the one before."""
        numbers = [p.number for p in self.view.passes if p.is_changed]
        ahead = [n for n in numbers if (n > self.number if by > 0 else n < self.number)]
        if ahead:
            shows = self.shows if self.shows in ("diff", "before", "graph") else "steps"
            self._look(ahead[0] if by > 0 else ahead[-1], shows)

    def action_step(self, by: int) -> None:
        """The next step, or the one before, from pass to pass."""
        steps = [(p.number, i) for p in self.view.passes for i in range(len(p.steps))]
        at = (self.number, self.list.highlighted or 0)
        if self.shows != "steps":
            at = (self.number, -1) if by > 0 else (self.number, 0)
        ahead = [s for s in steps if (s > at if by > 0 else s < at)]
        if ahead:
            self._look((ahead[0] if by > 0 else ahead[-1])[0], "steps")
            self.list.highlighted = (ahead[0] if by > 0 else ahead[-1])[1]
            self.list.focus()

    def action_unfold(self) -> None:
        """Show the passes that changed nothing, or fold them."""
        self.pipeline.unfold()

    def action_more(self) -> None:
        """Scroll on in what is told below."""
        self.query_one("#detail", VerticalScroll).scroll_page_down(animate=False)

    def action_go_back(self) -> None:
        """What was looked at before."""
        search = self.query_one("#search", Input)
        if search.has_class("open"):
            self._close_search(search)
        elif self._earlier:
            self._move(*self._earlier.pop())

    def action_keys(self) -> None:
        """List the keys."""
        self.push_screen(KeysScreen())

    # -- searching -------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Ask what to look for."""
        search = self.query_one("#search", Input)
        search.add_class("open")
        search.value = ""
        search.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """List what was found."""
        self._close_search(event.input)
        if event.value.strip():
            self._look(self.number, f"find {event.value.strip()}")

    def _close_search(self, search: Input) -> None:
        search.remove_class("open")
        self.list.focus()

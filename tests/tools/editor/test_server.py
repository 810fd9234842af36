"""What an editor is answered, asked through the protocol."""

from pathlib import Path

import onnx
import onnx.parser
import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_text
from tests.tools.editor.conftest import Editor

RULE = """"Rules of mine."

op mine.soft(x):
    y = nn.softmax(x, axis=1)

# It is an example.
rule no_twice on fx, onnx preserves exact:
    "ReLU of ReLU 😋 is ReLU."
    match:
        a = nn.relu(x)
        y = nn.relu(a)
    where:
        x.rank == 4  else "😋 {x.shape} and {a.name}"
    rewrite:
        y = nn.relu(x)

rule other on fx, onnx preserves lossy:
    "It folds."
    match:
        y = mine.soft(x)
    where:
        @is_detection_head(y)  else "a"
    rewrite:
        y = x
"""


def applied(text: str, edits: list[lsp.TextEdit]) -> str:
    """A text after edits, whose places are in code units of UTF-16."""
    lines = [line.encode("utf-16-le") for line in text.split("\n")]
    for edit in sorted(edits, key=lambda e: (e.range.start.line, -e.range.start.character)):
        start, end = edit.range.start, edit.range.end
        assert start.line == end.line
        line = lines[start.line]
        new = edit.new_text.encode("utf-16-le")
        lines[start.line] = line[: 2 * start.character] + new + line[2 * end.character :]
    return "\n".join(line.decode("utf-16-le") for line in lines)


def test_a_right_file_has_nothing_to_say(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "right.spq", RULE)
    assert editor.diagnostics(uri) == []


def test_a_mistake_is_shown_where_it_is_with_its_hint_and_its_fix(
    editor: Editor, folder: Path
) -> None:
    wrong = RULE.replace("{a.name}", "{a.nmae}")
    uri = editor.open(folder / "wrong.spq", wrong)
    (found,) = editor.diagnostics(uri)
    assert "did you mean 'name'" in found.message
    assert found.severity == lsp.DiagnosticSeverity.Error
    params = lsp.CodeActionParams(
        lsp.TextDocumentIdentifier(uri), found.range, lsp.CodeActionContext([found])
    )
    (action,) = editor.ask(lsp.TEXT_DOCUMENT_CODE_ACTION, params)
    assert action.title == "write `name` instead of `nmae`"
    assert applied(wrong, action.edit.changes[uri]) == RULE


def test_errors_of_a_line_leave_the_findings_of_other_rules(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "both.spq", RULE)
    assert editor.diagnostics(uri) == []
    text = RULE.replace("y = nn.softmax(x, axis=1)", "y = nn.softmax(x, axis=", 1)
    editor.change(uri, text.replace("nn.relu(a)", "nn.rleu(a)"))
    messages = [found.message.split("\n")[0] for found in editor.diagnostics(uri)]
    assert messages == ["this '(' is never closed", "unknown operator 'nn.rleu'"]


def completions(editor: Editor, path: Path, text: str) -> dict[str, lsp.CompletionItem]:
    """What is offered where `|` stands."""
    uri = editor.open(path, text.replace("|", ""))
    place = editor.at(uri, text, "|")
    place["position"].character -= 1
    params = lsp.CompletionParams(**place)
    found = editor.ask(lsp.TEXT_DOCUMENT_COMPLETION, params)
    return {item.label: item for item in found}


@pytest.mark.parametrize(
    ("old", "new", "offered", "never"),
    [
        ("nn.relu(a)", "nn.re|", {"nn.relu", "mine.soft"}, {"where"}),
        ("nn.relu(a)", "nn.softmax(a, |", {"axis=", "a", "x"}, {"epsilon=", "rule"}),
        ("nn.relu(a)", "|", {"maybe", "nn.conv", "activation", "view"}, {"preserves"}),
        ("x.rank", "x.|", {"x.rank", "x.readers"}, {"nn.conv"}),
        ("x.rank", "knob.|", {"knob.attention"}, {"x"}),
        ("x.rank", "@|", {"@is_detection_head"}, {"x"}),
        ("x.rank == 4", "y comes from |", {"nn.conv", "view"}, set()),
        ("rule no_twice on fx", "rule no_twice on |", {"fx", "onnx"}, {"exact"}),
        ("preserves exact", "preserves |", {"exact", "lossy"}, {"fx"}),
        ("rule no_twice on fx, onnx", "rule no_twice |", {"on", "for", "decreases"}, {"keeps"}),
        ("    rewrite:", "    |", {"rewrite", "where", "example"}, {"int8", "nn.conv"}),
        ("# It is an example.", "|", {"rule", "fusion", "check"}, {"where", "nn.conv"}),
    ],
)
def test_what_is_offered_fits_the_place(
    editor: Editor, folder: Path, old: str, new: str, offered: set[str], never: set[str]
) -> None:
    found = completions(editor, folder / "complete.spq", RULE.replace(old, new, 1))
    assert offered <= set(found)
    assert not never & set(found)


def test_a_completion_takes_the_place_of_what_is_written(editor: Editor, folder: Path) -> None:
    text = RULE.replace("{a.name}", "{a.na|}")
    item = completions(editor, folder / "complete.spq", text)["a.name"]
    assert isinstance(item.text_edit, lsp.TextEdit)
    assert applied(text.replace("|", ""), [item.text_edit]) == RULE


def hover(editor: Editor, uri: str, word: str, nth: int = 0) -> str:
    params = lsp.HoverParams(**editor.at(uri, RULE, word, nth))
    found = editor.ask(lsp.TEXT_DOCUMENT_HOVER, params)
    return found.contents.value if found else ""


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nn.softmax", ["y = nn.softmax(x, axis=-1)", "ONNX: `Softmax`", "`aten.softmax.int`"]),
        ("mine.soft", ["family", "nn.softmax(x, axis=1)"]),
        ("is_detection_head", ["@is_detection_head(", "Defined in passes/natives/"]),
        ("no_twice", ["ReLU of ReLU", "It is an example."]),
        ("rank ==", ["how many dimensions"]),
        ("a.name", ["the result of an operator", "a = nn.relu(x)"]),
        ("where", ["a condition reads"]),
    ],
)
def test_a_hover_says_what_a_word_is(
    editor: Editor, folder: Path, word: str, said: list[str]
) -> None:
    uri = editor.open(folder / "hover.spq", RULE)
    text = hover(editor, uri, word)
    assert [part for part in said if part not in text] == []


def definition(editor: Editor, uri: str, text: str, word: str, nth: int = 0) -> lsp.Location:
    params = lsp.DefinitionParams(**editor.at(uri, text, word, nth))
    (found,) = editor.ask(lsp.TEXT_DOCUMENT_DEFINITION, params)
    return found


def test_definitions_lead_to_families_names_natives_and_installed_files(
    editor: Editor, folder: Path
) -> None:
    text = RULE + (
        "\nfusion mine on onnx for tensorrt:\n    like conv_act\n"
        "    match:\n        c = convolution(x, w: const, b?)\n        y = nn.relu(c)\n"
    )
    uri = editor.open(folder / "define.spq", text)
    assert definition(editor, uri, text, "mine.soft", 1).range.start == lsp.Position(2, 3)
    assert definition(editor, uri, text, "a.name").range.start == lsp.Position(9, 8)
    native = definition(editor, uri, text, "is_detection_head")
    path = Path(native.uri.removeprefix("file://"))
    assert "def " in "".join(path.read_text().split("\n")[native.range.start.line :][:2])
    fusion = definition(editor, uri, text, "conv_act")
    path = Path(fusion.uri.removeprefix("file://"))
    assert path.read_text().split("\n")[fusion.range.start.line].startswith("fusion conv_act")


def renamed(editor: Editor, uri: str, text: str, word: str, new: str) -> dict[str, str]:
    params = lsp.RenameParams(**editor.at(uri, text, word), new_name=new)
    edit = editor.ask(lsp.TEXT_DOCUMENT_RENAME, params)
    return {u: applied(text, edits) for u, edits in edit.changes.items()}


def test_a_name_is_renamed_in_its_declaration_sentences_too(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "rename.spq", RULE)
    wanted = RULE.replace("a = nn.relu", "first = nn.relu").replace("relu(a)", "relu(first)")
    wanted = wanted.replace("{a.name}", "{first.name}")
    assert renamed(editor, uri, RULE, "a.name", "first") == {uri: wanted}


def test_a_family_is_renamed_in_all_files_of_the_folder(editor: Editor, folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    other = inner / "other.spq"
    other.write_text(RULE.replace("op mine.soft(x):\n    y = nn.softmax(x, axis=1)\n\n", ""))
    uri = editor.open(folder / "family.spq", RULE)
    params = lsp.RenameParams(**editor.at(uri, RULE, "mine.soft"), new_name="mine.smooth")
    changes = editor.ask(lsp.TEXT_DOCUMENT_RENAME, params).changes
    assert applied(RULE, changes[uri]) == RULE.replace("mine.soft", "mine.smooth")
    assert applied(other.read_text(), changes[other.as_uri()]).count("mine.smooth") == 1
    other.unlink()


@pytest.mark.parametrize(
    ("word", "new", "why"),
    [
        ("a.name", "x", "'x' is a name of this declaration already"),
        ("a.name", "not", "'not' is no name"),
        ("a.name", "a b", "'a b' is no name"),
        ("nn.relu", "relu", "'nn.relu' is an operator of the table, or a trait"),
        ("mine.soft", "nn.relu", "'nn.relu' is declared already"),
        ("is_detection_head", "head", "'is_detection_head' is no name that this file gives"),
    ],
)
def test_a_rename_that_would_break_the_file_is_refused(
    editor: Editor, folder: Path, word: str, new: str, why: str
) -> None:
    uri = editor.open(folder / "refused.spq", RULE)
    with pytest.raises(JsonRpcException, match=why):
        renamed(editor, uri, RULE, word, new)


def test_formatting_gives_what_rules_fmt_gives(editor: Editor, folder: Path) -> None:
    text = RULE.replace('  else "a"', ' else    "a"').replace("axis=1)", "axis = 1 )")
    uri = editor.open(folder / "format.spq", text)
    params = lsp.DocumentFormattingParams(
        lsp.TextDocumentIdentifier(uri), lsp.FormattingOptions(4, True)
    )
    (edit,) = editor.ask(lsp.TEXT_DOCUMENT_FORMATTING, params)
    assert edit.new_text == format_file(parse_text(text))
    assert edit.range.start == lsp.Position(0, 0)
    assert edit.range.end == lsp.Position(text.count("\n"), 0)
    editor.change(uri, "rule")
    assert not editor.ask(lsp.TEXT_DOCUMENT_FORMATTING, params)


def hints(editor: Editor, path: Path, text: str) -> dict[int, str]:
    uri = editor.open(path, text)
    stretch = lsp.Range(lsp.Position(0, 0), lsp.Position(99, 0))
    params = lsp.InlayHintParams(lsp.TextDocumentIdentifier(uri), stretch)
    found = editor.ask(lsp.TEXT_DOCUMENT_INLAY_HINT, params)
    return {hint.position.line: hint.label for hint in found}


def test_a_named_graph_says_how_often_each_rule_matches(editor: Editor, folder: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 20]> agraph (float[1, 2, 3, 4] x) => '
        "(float[1, 2, 3, 4] y) { a = Relu(x) b = Relu(a) c = Relu(b) y = Sigmoid(c) }"
    )
    onnx.save(model, folder / "model.onnx")
    text = f"# graph: model.onnx\n{RULE}"
    found = hints(editor, folder / "hints.spq", text)
    assert {text.split("\n")[line].split()[1]: said for line, said in found.items()} == {
        "mine.soft(x):": "0 matches",
        "no_twice": "2 matches",
        "other": "0 matches",
    }


@pytest.mark.parametrize("name", ["model.py", "model.pt2"])
def test_no_code_is_run_for_a_graph(editor: Editor, folder: Path, name: str) -> None:
    ran = folder / "ran"
    (folder / name).write_text(f"open({str(ran)!r}, 'w')")
    found = hints(editor, folder / "hints.spq", f"# graph: {name}\n{RULE}")
    assert found == {0: f"{name} is no graph that can be read without running code"}
    assert not ran.exists()


def test_a_graph_that_is_not_there_is_said_at_the_comment(editor: Editor, folder: Path) -> None:
    found = hints(editor, folder / "hints.spq", f"# graph: none.onnx\n{RULE}")
    assert list(found) == [0]
    assert "cannot be read" in found[0]

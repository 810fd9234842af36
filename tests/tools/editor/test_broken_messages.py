"""What is no message, or no text, or comes in the wrong order: an answer, and nothing lost."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException, JsonRpcMethodNotFound

from tests.tools.editor.conftest import PATIENCE, Editor
from tests.tools.editor.test_server import RULE, hover


def send(editor: Editor, body: bytes, header: bytes | None = None) -> None:
    """Bytes on the server's stdin, past the client."""
    assert editor.client._server is not None
    assert editor.client._server.stdin is not None
    start = b"Content-Length: %d\r\n\r\n" % len(body) if header is None else header
    editor.client._server.stdin.write(start + body)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": 1}}',
        b'{"jsonrpc": "2.0", "method": "textDocument/didChange"}',
    ],
    ids=["cut", "list", "text", "not UTF-8", "deep", "wrong kind", "no parameters"],
)
def test_a_broken_message_is_said_and_the_next_one_is_answered(
    editor: Editor, folder: Path, body: bytes
) -> None:
    uri = editor.open(folder / "kept.spq", RULE)
    before = len(editor.messages)
    send(editor, body)
    assert "nn.softmax" in hover(editor, uri, "nn.softmax")
    told = editor.told(before)
    assert told.startswith("sparqc: a message was not understood, and is left out: ")
    assert "Traceback" not in told


def test_a_message_that_is_too_long_is_passed_over(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "kept.spq", RULE)
    before = len(editor.messages)
    send(editor, b" " * 40_000_000)
    assert "nn.softmax" in hover(editor, uri, "nn.softmax")
    assert editor.told(before)


def test_a_method_that_there_is_not_is_an_error(editor: Editor) -> None:
    with pytest.raises(JsonRpcMethodNotFound):
        editor.ask("textDocument/unheardOf", None)


def test_a_question_about_a_text_that_is_not_open_is_an_error(editor: Editor, folder: Path) -> None:
    uri = (folder / "nowhere.spq").as_uri()
    with pytest.raises(JsonRpcException, match="is not open"):
        hover(editor, uri, "nn.softmax")


@pytest.mark.parametrize(("line", "column"), [(10**6, 0), (0, 10**6), (2**31 - 1, 2**31 - 1)])
def test_a_place_outside_of_a_text_is_its_nearest(
    editor: Editor, folder: Path, line: int, column: int
) -> None:
    uri = editor.open(folder / "kept.spq", RULE)
    place = lsp.HoverParams(lsp.TextDocumentIdentifier(uri), lsp.Position(line, column))
    assert editor.ask(lsp.TEXT_DOCUMENT_HOVER, place) is None


def test_an_older_change_that_comes_late_is_left_out(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "late.spq", "rule")
    editor.change(uri, RULE, version=7)
    assert editor.diagnostics(uri, 7) == []
    editor.change(uri, "rule", version=6)
    editor.change(uri, RULE + "# the end\n", version=8)
    assert editor.diagnostics(uri, 8) == []


def test_a_part_of_a_text_is_refused_and_the_text_stays(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "part.spq", RULE)
    before = len(editor.messages)
    stretch = lsp.Range(lsp.Position(0, 0), lsp.Position(2, 0))
    editor.client.text_document_did_change(
        lsp.DidChangeTextDocumentParams(
            lsp.VersionedTextDocumentIdentifier(2, uri),
            [lsp.TextDocumentContentChangePartial(stretch, "x")],
        )
    )
    assert "this server takes whole texts" in editor.told(before)
    assert "nn.softmax" in hover(editor, uri, "nn.softmax")


@pytest.mark.parametrize(
    "text",
    ["", "\ufeff" + RULE, "\ud800", "\x00", "\u2028\x85\x0c", RULE.replace("\n", "\r\n"),
     "(" * 90_000],
    ids=["empty", "mark", "surrogate", "zero", "separators", "CRLF", "brackets"],
)  # fmt: skip
def test_any_text_is_answered(editor: Editor, folder: Path, text: str) -> None:
    uri = editor.open(folder / "any.spq", text)
    editor.diagnostics(uri)
    for method in (lsp.TEXT_DOCUMENT_HOVER, lsp.TEXT_DOCUMENT_COMPLETION):
        place = (lsp.TextDocumentIdentifier(uri), lsp.Position(2, 5))
        kind = lsp.HoverParams if method == lsp.TEXT_DOCUMENT_HOVER else lsp.CompletionParams
        editor.ask(method, kind(*place))


def test_a_text_that_is_too_long_says_what_checks_it(editor: Editor, folder: Path) -> None:
    uri = editor.open(folder / "long.spq", "# a comment\n" * 100_000)
    (found,) = editor.diagnostics(uri)
    assert "sparqc rules check" in found.message


def served(data: bytes) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "sparqc.tools.cli", "lsp"]
    return subprocess.run(words, input=data, capture_output=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize(
    "data",
    [b"hello\n", b"Content-Length: ten\r\n\r\n{}", b"Content-Length: -1\r\n\r\n{}", b"x" * 100_000],
    ids=["words", "no number", "negative", "endless line"],
)
def test_what_is_no_protocol_ends_the_server_with_a_sentence(data: bytes) -> None:
    done = served(data)
    assert done.returncode == 3
    error = done.stderr.decode()
    assert "is no header of a message" in error
    assert "Traceback" not in error


def test_a_message_that_ends_early_ends_the_server() -> None:
    started = time.monotonic()
    done = served(b"Content-Length: 999999999999\r\n\r\n{")
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert time.monotonic() - started < PATIENCE


def test_headers_may_be_written_small_and_in_any_order() -> None:
    capabilities = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
                    "params": {"processId": None, "rootUri": None, "capabilities": {}}}  # fmt: skip
    body = json.dumps(capabilities).encode()
    start = b"content-type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length: %d\r\n\r\n"
    done = served(start % len(body) + body)
    assert b'"hoverProvider"' in done.stdout


def test_without_pygls_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from sparqc.errors import UsageError
    from sparqc.tools.editor import command

    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    done = CliRunner().invoke(command.lsp_command)
    assert isinstance(done.exception, UsageError)
    assert "pip install 'sparqc[lsp]'" in str(done.exception)

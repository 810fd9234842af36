"""The language server: each question of an editor, answered from what a text says."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, cast

from lsprotocol import types as lsp
from pygls.exceptions import FeatureRequestError, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

import sparqc
from sparqc.errors import SparqcError
from sparqc.lang.format.formatter import format_file
from sparqc.lang.parse.parser import parse_text
from sparqc.tools.editor.analysis import Analysis
from sparqc.tools.editor.completion import offers, word_before
from sparqc.tools.editor.documents import Documents, path_of, uri_of
from sparqc.tools.editor.matches import matches, named_graph
from sparqc.tools.editor.names import Place, definitions, may_be_renamed, renamed, text_of
from sparqc.tools.editor.pages import page
from sparqc.tools.editor.protocol import KINDS, Positions, actions
from sparqc.tools.editor.stream import Messages
from sparqc.tools.editor.words import Word

#: Seconds without a change before a text is checked.
PAUSE = 0.05

#: The questions that are about a place.
At = lsp.HoverParams | lsp.DefinitionParams | lsp.PrepareRenameParams | lsp.RenameParams


class Server(LanguageServer):
    """The server and the texts that it knows.

    Texts are sent whole: they are small, and a change that comes late, or twice, then damages
    nothing.  They are read and checked in a thread of their own, one at a time.
    """

    def __init__(self) -> None:
        super().__init__(
            "sparqc", sparqc.__version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Full
        )
        self.documents = Documents()
        self.worker = ThreadPoolExecutor(1, "sparqc")

    async def work(self, function: Callable[..., Any], *arguments: object) -> Any:
        """The result of a function that takes a while."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, function, *arguments)

    async def analysis(self, uri: str) -> Analysis:
        """What an open text says."""
        found = await self.work(self.documents.analysis, uri)
        if found is None:
            raise JsonRpcInvalidParams(f"{uri} is not open")
        return cast(Analysis, found)

    def positions(self, text: str) -> Positions:
        """The places of a text, in the editor's units."""
        return Positions(text, self.workspace.position_codec)

    async def word(self, at: At) -> tuple[Analysis, Word | None]:
        """The word at a place of an open text."""
        analysis = await self.analysis(at.text_document.uri)
        return analysis, analysis.word_at(*self.positions(analysis.text).given(at.position))

    def folders(self) -> list[str]:
        """The folders that an editor has open."""
        return [path_of(uri) for uri in self.workspace.folders]

    def ranges(self, places: list[Place], known: list[Analysis]) -> list[lsp.Location]:
        """Places of files, in the editor's units."""
        texts = {analysis.path: analysis.text for analysis in known}
        found = []
        for place in places:
            text = texts.get(place.path)
            if text is None:
                text = texts[place.path] = text_of(place.path) or ""
            stretch = self.positions(text).stretch(place.line, place.column, place.width)
            found.append(lsp.Location(uri_of(place.path), stretch))
        return found

    async def publish(self, uri: str) -> None:
        """Check a text, and show what is found unless it has changed again."""
        version = self.documents.version(uri)
        await asyncio.sleep(PAUSE)
        if version is None or self.documents.version(uri) != version:
            return
        analysis = await self.analysis(uri)
        if self.documents.version(uri) == version:
            positions = self.positions(analysis.text)
            found = [positions.diagnostic(finding) for finding in analysis.findings]
            self.text_document_publish_diagnostics(
                lsp.PublishDiagnosticsParams(uri, found, version)
            )

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Say in the editor what was wrong with a message that asks for no answer."""
        if source is not FeatureRequestError:
            told = str(error).partition("\n")[0][:500] or type(error).__name__
            message = f"sparqc: a message was not understood, and is left out: {told}"
            params = lsp.ShowMessageParams(lsp.MessageType.Error, message)
            self.window_show_message(params)


def make_server() -> Server:
    """A server that answers everything that `docs/editors.md` says."""
    server = Server()

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    async def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        server.documents.drop(document.uri)
        server.documents.put(document.uri, document.version, document.text)
        await server.publish(document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        uri, changes = params.text_document.uri, params.content_changes
        if uri not in server.documents or not changes:
            return
        last = changes[-1]
        if isinstance(last, lsp.TextDocumentContentChangePartial):
            raise JsonRpcInvalidParams("a part of a text was sent; this server takes whole texts")
        if server.documents.put(uri, params.text_document.version, last.text):
            await server.publish(uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    async def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.documents.drop(uri)
        server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(list(".@{(")))
    async def complete(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        analysis = await server.analysis(params.text_document.uri)
        positions = server.positions(analysis.text)
        line, column = positions.given(params.position)
        width = len(word_before(positions.lines[line][:column]))
        written = positions.stretch(line, column - width, width)
        found = await server.work(offers, analysis, line, column)
        return [
            lsp.CompletionItem(
                offer.text, kind=KINDS[offer.kind], detail=offer.told or None,
                text_edit=lsp.TextEdit(written, offer.text),
            )
            for offer in found
        ]  # fmt: skip

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        analysis, word = await server.word(params)
        text = await server.work(page, analysis, word) if word else ""
        if not text or word is None:
            return None
        place = server.positions(analysis.text).stretch(word.line, word.column, len(word.text))
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text), place)

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    async def define(params: lsp.DefinitionParams) -> list[lsp.Location]:
        analysis, word = await server.word(params)
        if word is None:
            return []
        known = await server.work(server.documents.all, server.folders())
        return server.ranges(await server.work(definitions, known, analysis, word), known)

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    async def prepare(params: lsp.PrepareRenameParams) -> lsp.Range | None:
        analysis, word = await server.word(params)
        if word is None:
            return None
        known = await server.work(server.documents.all, server.folders())
        _asked(may_be_renamed, known, analysis, word)
        return server.positions(analysis.text).stretch(word.line, word.column, len(word.text))

    @server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    async def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        analysis, word = await server.word(params)
        if word is None:
            return None
        known = await server.work(server.documents.all, server.folders())
        places = _asked(renamed, known, analysis, word, params.new_name)
        edits: dict[str, list[lsp.TextEdit]] = {}
        for location in server.ranges(places, known):
            edit = lsp.TextEdit(location.range, params.new_name)
            edits.setdefault(location.uri, []).append(edit)
        return lsp.WorkspaceEdit(changes=edits)

    @server.feature(
        lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix])
    )
    async def act(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        analysis = await server.analysis(uri)
        return actions(uri, server.positions(analysis.text), analysis.findings, params.range)

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    async def write(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        analysis = await server.analysis(params.text_document.uri)
        try:
            text = await server.work(_formatted, analysis)
        except SparqcError:
            return []  # what is wrong is shown already
        whole = server.positions(analysis.text).whole
        return [] if text == analysis.text else [lsp.TextEdit(whole, text)]

    @server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
    async def count(params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
        analysis = await server.analysis(params.text_document.uri)
        named = named_graph(analysis)
        if named is None or analysis.errors:
            return []
        path, line = named
        try:
            said = await server.work(matches, analysis, path)
        except SparqcError as error:
            said = {line: error.message}
        positions = server.positions(analysis.text)
        shown = range(params.range.start.line, params.range.end.line + 1)
        return [
            lsp.InlayHint(positions.position(at, len(positions.lines[at])), text, padding_left=True)
            for at, text in said.items()
            if at in shown
        ]

    return server


def _formatted(analysis: Analysis) -> str:
    return format_file(parse_text(analysis.text, analysis.path))


def _asked(function: Callable[..., Any], *arguments: object) -> Any:
    """The result of what a person asked for; why not, where it cannot be."""
    try:
        return function(*arguments)
    except SparqcError as error:
        raise JsonRpcInvalidParams(error.message) from None


def serve(stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> None:
    """Answer what comes on stdin until it ends.

    Raises SparqcError where something else than the protocol comes.
    """
    # What is wrong with a message is said to the editor.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    messages = Messages(stdin or sys.stdin.buffer)
    make_server().start_io(cast(BinaryIO, messages), stdout)
    if messages.broken:
        raise SparqcError(messages.broken, hint="an editor starts this: see docs/editors.md")

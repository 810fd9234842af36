"""An editor: pygls's own client, which talks with `sparqc lsp` over pipes."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

T = TypeVar("T")
#: Seconds after which an answer counts as none.
PATIENCE = 60


class Editor:
    """A client with one server, and the texts that it has open."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.client = LanguageClient("tests", "1")
        self.shown: dict[str, lsp.PublishDiagnosticsParams] = {}
        self.messages: list[str] = []
        self.versions: dict[str, int] = {}
        self.news = asyncio.Event()

        @self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: lsp.PublishDiagnosticsParams) -> None:
            self.shown[params.uri] = params
            self.news.set()

        @self.client.feature(lsp.WINDOW_SHOW_MESSAGE)
        def message(params: lsp.ShowMessageParams) -> None:
            self.messages.append(params.message)
            self.news.set()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE))

    def start(self, folder: Path) -> lsp.InitializeResult:
        words = (sys.executable, "-m", "sparqc.tools.cli", "lsp")
        self.wait(self.client.start_io(*words))
        folders = [lsp.WorkspaceFolder(folder.as_uri(), folder.name)]
        params = lsp.InitializeParams(
            lsp.ClientCapabilities(), root_uri=folder.as_uri(), workspace_folders=folders
        )
        result = self.wait(self.client.initialize_async(params))
        self.client.initialized(lsp.InitializedParams())
        return result

    def open(self, path: Path, text: str) -> str:
        uri = path.as_uri()
        self.versions[uri] = 1
        item = lsp.TextDocumentItem(uri, "spq", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, text: str, version: int | None = None) -> None:
        self.versions[uri] = version or self.versions[uri] + 1
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(self.versions[uri], uri),
                [lsp.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    def diagnostics(self, uri: str, version: int | None = None) -> list[lsp.Diagnostic]:
        """What is shown of a version of a text, the last that was sent."""
        wanted = version or self.versions[uri]

        async def shown() -> list[lsp.Diagnostic]:
            while uri not in self.shown or self.shown[uri].version != wanted:
                self.news.clear()
                await self.news.wait()
            return list(self.shown[uri].diagnostics)

        return self.wait(shown())

    def told(self, count: int) -> str:
        """The message that is shown after so many others."""

        async def message() -> str:
            while len(self.messages) <= count:
                self.news.clear()
                await self.news.wait()
            return self.messages[count]

        return self.wait(message())

    def ask(self, method: str, params: Any) -> Any:
        return self.wait(self.client.protocol.send_request_async(method, params))

    def at(self, uri: str, text: str, word: str, nth: int = 0) -> dict[str, Any]:
        """The place of a word, one letter into it."""
        offset = -1
        for _ in range(nth + 1):
            offset = text.index(word, offset + 1)
        line = text.count("\n", 0, offset)
        before = text[text.rfind("\n", 0, offset) + 1 : offset + 1]
        units = len(before.encode("utf-16-le")) // 2
        document = lsp.TextDocumentIdentifier(uri)
        return {"text_document": document, "position": lsp.Position(line, units)}

    def stop(self) -> int:
        async def end() -> int:
            await self.client.shutdown_async(None)
            self.client.exit(None)
            assert self.client._server is not None
            return await self.client._server.wait()

        code = self.wait(end())
        self.wait(self.client.stop())
        return code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("patterns")


@pytest.fixture(scope="module")
def editor(folder: Path) -> Iterator[Editor]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    editor = Editor(loop)
    editor.start(folder)
    yield editor
    assert editor.stop() == 0
    loop.close()

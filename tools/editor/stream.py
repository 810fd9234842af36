"""What an editor sends, cut into messages: a header that is none, or a message without end, must
neither be waited for nor read as something else."""

from __future__ import annotations

import re
from typing import BinaryIO

_LENGTH = re.compile(rb"content-length:\s*([0-9]{1,18})\s*", re.IGNORECASE)
_HEADER = re.compile(rb"[A-Za-z][A-Za-z-]*:[^\r\n]*\s*|\s*")
#: Bytes of the longest message that is read, and of the longest line of a header.
LONGEST_MESSAGE = 32_000_000
LONGEST_HEADER = 4096
_PIECE = 1 << 20
#: What takes the place of a message that is not read; it is no message, and is reported.
_NOTHING = b"{}"


class Messages:
    """A binary stream whose headers are well-formed and whose messages are not too long.

    A message that is too long is passed over.  After what is no header nothing can be found again:
    the stream ends there, and `broken` says why.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.broken = ""

    def readline(self) -> bytes:
        """The next line of a header, as `Content-Length: N` where it says the length."""
        line = self.stream.readline(LONGEST_HEADER)
        if found := _LENGTH.fullmatch(line):
            return b"Content-Length: %d\r\n" % int(found[1])
        if not _HEADER.fullmatch(line) or line[:15].lower() == b"content-length:":
            shown = line[:60].decode(errors="replace").strip()
            self.broken = f"{shown!r} is no header of a message of the language server protocol"
            return b""
        return line if line.strip() or not line else b"\r\n"

    def read(self, length: int) -> bytes:
        """The message behind a header."""
        if length <= LONGEST_MESSAGE:
            return self.stream.read(length)
        while length > 0 and (piece := self.stream.read(min(_PIECE, length))):
            length -= len(piece)
        return _NOTHING

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()

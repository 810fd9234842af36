"""Reading files of people: what the system and parsers raise becomes an error with a sentence.

Parsers raise what they like on damaged input: ValueError, KeyError, struct.error, OverflowError on
large numbers, RecursionError on deep nesting.  What reads a file hands it over inside `damaged`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparqc.errors import SparqcError, UsageError


def read_text(path: Path, title: str = "", *, encoding: str = "utf-8") -> str:
    """The text of a file; `title` is what the error calls it.

    Raises:
        UsageError: where there is no such file, where it is a folder, pipe or device (which could
            keep a reader waiting for ever), and where it is not text in UTF-8.
    """
    title = title or str(path)
    try:
        if path.exists() and not path.is_file():
            what = "folder" if path.is_dir() else "pipe or a device"
            raise UsageError(f"{title} is a {what}, not a file")
        return path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{title} cannot be read: it is not text in UTF-8 (byte {error.start})",
            hint="it has to be a plain text file",
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read {title}: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise UsageError(f"{title} cannot be read: {error}") from error


@contextmanager
def damaged(
    title: str,
    *,
    hint: str = "",
    error: type[SparqcError] = SparqcError,
    passing: type[Exception] = SparqcError,
) -> Iterator[None]:
    """Whatever fails inside is the fault of the input of that title.

    Raises `error`, with the first line of what the parser said; errors that are sentences already
    or that the caller says better (`passing`), and a lack of memory, stay what they are.
    """
    try:
        yield
    except (SparqcError, MemoryError, passing):
        raise
    except RecursionError as failure:
        message = f"{title} is damaged and cannot be read: it is nested too deeply"
        raise error(message, hint=hint) from failure
    except Exception as failure:
        said = str(failure).strip().partition("\n")[0][:300]
        reason = said if isinstance(failure, ValueError) and said else f"{failure!r}"[:300]
        raise error(f"{title} is damaged and cannot be read: {reason}", hint=hint) from failure

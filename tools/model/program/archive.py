"""A `.pt2` archive, rewritten: only the entries that a program needs, each checked.

Torch reads the copy and never the file, so two readers of ZIP files cannot see two things in it,
and what nobody looked at is not there.  Entries are stored as they are, as torch writes them: an
entry that has to be unpacked could be of any size.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from sparqc.tools.model.program.content import checked_program
from sparqc.tools.model.program.payloads import payload_files
from sparqc.tools.model.program.refusal import Refusal, excerpt

_PROGRAM = "models/model.json"
_INPUTS = "data/sample_inputs/model.pt"
_FORMAT = ("archive_format", "archive_version", ".data/version")


def checked_copy(path: Path) -> io.BytesIO | None:
    """The archive that torch may read; None where the file is an archive without a program.

    Raises:
        Refusal: where it holds what could act.
        ValueError, KeyError, zipfile.BadZipFile: where it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        entries = _entries(archive, path.stat().st_size)
        if _PROGRAM not in entries:
            return None
        copied = io.BytesIO()
        with zipfile.ZipFile(copied, "w") as copy:
            _copy(archive, entries, copy)
    copied.seek(0)
    return copied


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Every entry by its name below the archive's one folder."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if name in entries:
            raise Refusal(f"two entries {excerpt(name)}")
        if name.startswith("data/aotinductor/"):
            raise Refusal("a compiled library")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise Refusal(f"the packed entry {excerpt(name)}, which torch does not write")
        entries[name] = entry
    if sum(entry.file_size for entry in entries.values()) > size:
        raise Refusal("entries that are larger than the file")
    return entries


def _copy(
    archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], copy: zipfile.ZipFile
) -> None:
    def read(name: str) -> bytes:
        return archive.read(entries[name])

    def write(name: str, content: bytes) -> None:
        copy.writestr(zipfile.ZipInfo(f"model/{name}"), content)

    if "byteorder" in entries and read("byteorder") != b"little":
        raise Refusal("numbers in another byte order")
    for name in _FORMAT:
        if name in entries:
            write(name, read(name))
    write(_PROGRAM, checked_program(read(_PROGRAM)))
    if _INPUTS in entries:
        write(_INPUTS, _checked_tensors(read(_INPUTS)))
    for kind in ("weights", "constants"):
        if f"data/{kind}/model.pt" in entries:  # as torch wrote them before 2.9
            write(f"data/{kind}/model.pt", _checked_tensors(read(f"data/{kind}/model.pt")))
            continue
        folder, config = f"data/{kind}/", f"data/{kind}/model_{kind}_config.json"
        files = payload_files(read(config), lambda file: entries[folder + file].file_size)  # noqa: B023
        write(config, read(config))
        for file in files:
            write(folder + file, read(folder + file))


def _checked_tensors(content: bytes) -> bytes:
    """An archive of `torch.save` inside the archive, whose entries have to be stored, too."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            entries = inner.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise Refusal("packed example inputs, which torch does not write")
        if sum(entry.file_size for entry in entries) > len(content):
            raise Refusal("example inputs that are larger than the file")
    return content

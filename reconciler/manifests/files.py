"""Read files as manifests may be read: regular ones, of bounded size, in UTF-8.

Opening never blocks (a FIFO in the tree is an error, not a hang), and nothing is ever written.
"""

from __future__ import annotations

import os
import stat
from codecs import BOM_UTF8
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.manifests.syntax import Fault

if TYPE_CHECKING:
    from reconciler.core.names import Comparisons

#: The most bytes that a manifest, or a file named in one, may have.
LARGEST = 10_000_000
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class UnreadableError(Exception):
    """A file cannot be read at all; the message completes a sentence that names it."""


class MissingError(UnreadableError):
    """There is no such file."""


def read_bytes(path: str) -> bytes:
    """Return what a regular file holds; raises UnreadableError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            size = _acceptable_size(os.fstat(descriptor))
            return os.read(descriptor, size)
        finally:
            os.close(descriptor)
    except (NotADirectoryError, FileNotFoundError) as error:
        raise MissingError("does not exist") from error
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise UnreadableError("has a name that no file can have") from error


def decode(data: bytes) -> str | Fault:
    """Return the text of UTF-8 bytes, without a byte order mark, or what is wrong with them."""
    if data.startswith(_UTF16_MARKS):
        return Fault(1, 1, "this file is in UTF-16; save it as UTF-8")
    try:
        return data.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        return _not_utf8(error.object, error.start)


def is_directory(path: str) -> bool:
    """Tell whether a path leads to a directory, by whatever links."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def is_file(path: str) -> bool:
    """Tell whether a path leads to a regular file, by whatever links."""
    return os.path.isfile(path)  # noqa: PTH113 - that of Path raises where it may not look


def is_link(path: str) -> bool:
    """Tell whether a path is a link, as far as anybody may look."""
    return os.path.islink(path)  # noqa: PTH114 - that of Path raises where it may not look


def is_inside(path: str, directory: str) -> bool:
    """Tell whether a resolved path is a resolved directory, or below it."""
    return os.path.commonpath((path, directory)) == directory


def suggest_beside(path: str, comparisons: Comparisons) -> str:
    """Return the ending of a sentence that offers a file beside the one that is missing."""
    if comparisons.is_over:
        return ""
    missing = Path(path)
    try:
        beside = {other.name for other in missing.parent.iterdir()}
    except (OSError, ValueError):
        return ""
    return comparisons.suggest(missing.name, beside - {missing.name})


def _acceptable_size(status: os.stat_result) -> int:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableError("is a directory, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("is not a regular file")
    if status.st_size > LARGEST:
        raise UnreadableError(f"is larger than {LARGEST // 1_000_000} MB")
    return status.st_size


def _not_utf8(data: bytes, offset: int) -> Fault:
    line_start = data.rfind(b"\n", 0, offset) + 1
    line = data.count(b"\n", 0, offset) + 1
    column = len(data[line_start:offset].decode()) + 1
    return Fault(line, column, f"byte 0x{data[offset]:02X} is not UTF-8; save the file as UTF-8")

"""sha256 of files, and the record ``SHA256SUMS`` that a folder of files may carry.

The record has the format of the ``sha256sum`` program, so that ``sha256sum -c SHA256SUMS`` checks a folder by hand.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .failure import SourceError

__all__ = ["RECORD_NAME", "file_sha256", "read_record", "record_text"]

RECORD_NAME = "SHA256SUMS"

_CHUNK = 1 << 20

# A file that has not changed since this process hashed it is not hashed again.
_known: dict[tuple[str, int, int, int], str] = {}


def file_sha256(path: Path) -> str:
    """The file's sha256 in lower-case hex; remembered until the file's size, time or inode changes.

    Raises SourceError if the file cannot be read.
    """
    try:
        status = os.stat(path)
        key = (os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino)
        if key not in _known:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            _known[key] = digest.hexdigest()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    return _known[key]


def read_record(folder: Path) -> dict[str, str] | None:
    """File name → sha256 as ``folder/SHA256SUMS`` says, or None if the folder has no record.

    Raises SourceError if the record cannot be understood.
    """
    try:
        lines = (folder / RECORD_NAME).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{folder / RECORD_NAME} cannot be read: {error}") from error
    record = {}
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        digest, separator, name = line.partition(" ")
        if len(digest) != 64 or not separator or not name[1:]:
            raise SourceError(f"{folder / RECORD_NAME} is damaged: expected lines 'sha256  name', got {line[:80]!r}")
        record[name[1:]] = digest.lower()
    return record


def record_text(record: Mapping[str, str], comments: Iterable[str] = ()) -> str:
    """What ``read_record`` reads."""
    return "".join([*(f"# {line}\n" for line in comments), *(f"{record[name]}  {name}\n" for name in sorted(record))])

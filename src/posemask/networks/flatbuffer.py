"""Reading flatbuffers: tables of optional fields, found by offsets. Nothing that an offset says is trusted.

The format is described at https://flatbuffers.dev/internals/. Every access is checked against the buffer, so that
a damaged file ends in a `ModelFileError` and in nothing else. Offsets to tables, vectors and strings only point
forward, and this reader follows them only as deep as the caller's code goes, so that a loop cannot be walked.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelFileError

__all__ = ["Table", "root"]

MOST_TABLES = 2**16  # in one vector; the largest network we know has about 1,500


class Table:
    """One table of a flatbuffer; fields are named by their number in the schema."""

    __slots__ = ("_at", "_data", "_fields", "_vtable")

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self._at = data, at
        self._vtable = at - self._read("<i", at)
        self._fields = (self._read("<H", self._vtable) - 4) // 2

    def _read(self, form: str, at: int) -> Any:
        if at < 0:
            raise ModelFileError("the file is damaged: an offset points before its start")
        try:
            return struct.unpack_from(form, self._data, at)[0]
        except struct.error:
            raise ModelFileError(f"the file is cut short or damaged: it ends at byte {len(self._data)}") from None

    def _position(self, field: int) -> int | None:
        if field >= self._fields:
            return None
        offset = self._read("<H", self._vtable + 4 + 2 * field)
        return self._at + offset if offset else None

    def _target(self, field: int) -> int | None:
        at = self._position(field)
        return None if at is None else at + self._read("<I", at)

    def scalar(self, field: int, form: str, default: int) -> int:
        """An integer or byte; `form` is its `struct` format, for instance "<i"."""
        at = self._position(field)
        return default if at is None else int(self._read(form, at))

    def table(self, field: int) -> Table | None:
        """The table that a field points to, None where it is absent."""
        at = self._target(field)
        return None if at is None else Table(self._data, at)

    def tables(self, field: int) -> list[Table]:
        """A vector of tables; empty where it is absent."""
        at = self._target(field)
        if at is None:
            return []
        count = self._read("<I", at)
        if count > MOST_TABLES:
            raise ModelFileError(f"the file is damaged: a list of {count} tables")
        starts = range(at + 4, at + 4 + 4 * count, 4)
        return [Table(self._data, start + self._read("<I", start)) for start in starts]

    def vector(self, field: int, dtype: str) -> npt.NDArray[Any] | None:
        """A vector of numbers as a read-only view of the file, None where it is absent."""
        at = self._target(field)
        if at is None:
            return None
        count = self._read("<I", at)
        if at + 4 + count * np.dtype(dtype).itemsize > len(self._data):
            raise ModelFileError(f"the file is cut short or damaged: it ends at byte {len(self._data)}")
        return np.frombuffer(self._data, dtype, count, at + 4)

    def text(self, field: int) -> str:
        """A string; empty where it is absent. Bytes that are not UTF-8 are replaced."""
        raw = self.vector(field, "u1")
        return "" if raw is None else raw.tobytes().decode("utf-8", "replace")


def root(data: memoryview, identifier: bytes) -> Table:
    """The outermost table of a flatbuffer whose bytes 4 to 8 must be `identifier`."""
    if len(data) < 8 or bytes(data[4:8]) != identifier:
        raise ModelFileError(f"not a {identifier.decode()} flatbuffer: bytes 4 to 8 are {bytes(data[4:8])!r}")
    return Table(data, struct.unpack_from("<I", data, 0)[0])

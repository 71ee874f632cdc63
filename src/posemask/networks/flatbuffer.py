"""Flatbuffers, read and written: tables of optional fields, numbered as in a schema, found by offsets.

The format is described at https://flatbuffers.dev/internals/. Nothing that an offset says is trusted: every access
is checked against the buffer, so that a damaged file ends in a `ModelFileError` and in nothing else. Offsets to tables,
vectors and strings only point forward, and the reader follows them only as deep as its caller's code goes, so that
a loop cannot be walked.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelFileError

__all__ = ["Fields", "Table", "root", "serialise"]

MOST_TABLES = 2**16  # in one vector; the largest network we know has about 1,500
ALIGNMENT = 16  # of vectors of bytes, which hold the weights: TFLite's schema forces it

Fields = Mapping[int, Any]
"""A table to be written: by field number a scalar as (struct format, value), a string, a numpy array (a vector of
numbers), another table, or a list of tables; None is left out."""


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


def serialise(table: Fields, identifier: bytes) -> bytes:
    """Nested tables as a flatbuffer. Large arrays are not copied before the end, so memory peaks at one file's size."""
    writer = _Pieces()
    head = writer.add(bytearray(4) + identifier, align=4)
    writer.point(head, 0, _write_table(writer, table))
    return writer.joined()


class _Pieces:
    """Parts of a flatbuffer with their positions; the small ones are patched until they are joined."""

    def __init__(self) -> None:
        self._pieces: list[bytearray | memoryview] = []
        self._end = 0

    def add(self, piece: bytearray | memoryview, *, align: int, after: int = 0) -> tuple[bytearray, int]:
        """Append `piece`, zero-padded so that its byte number `after` is aligned; give it and its position."""
        gap = bytearray(-(self._end + after) % align)
        at = self._end + len(gap)
        self._pieces += [gap, piece]
        self._end = at + len(piece)
        return (piece if isinstance(piece, bytearray) else bytearray()), at

    def point(self, source: tuple[bytearray, int], byte: int, target: int) -> None:
        """Write at `byte` of a piece the forward offset to `target`."""
        piece, at = source
        struct.pack_into("<I", piece, byte, target - at - byte)

    def joined(self) -> bytes:
        return b"".join(self._pieces)


def _write_table(writer: _Pieces, table: Fields) -> int:
    fields = {number: value for number, value in table.items() if value is not None}
    inline = {
        number: (value if isinstance(value, tuple) else ("<I", 0))  # other fields are offsets, patched below
        for number, value in fields.items()
    }
    size = 4
    places: dict[int, int] = {}
    for number, (form, _) in sorted(inline.items(), key=lambda item: -struct.calcsize(item[1][0])):
        places[number] = size  # largest first, so all are aligned
        size += struct.calcsize(form)
    count = max(fields, default=-1) + 1
    vtable = bytearray(struct.pack("<HH", 4 + 2 * count, size))
    vtable += b"".join(struct.pack("<H", places.get(number, 0)) for number in range(count))
    _, vtable_at = writer.add(vtable, align=2)
    piece = writer.add(bytearray(size), align=4)
    struct.pack_into("<i", piece[0], 0, piece[1] - vtable_at)
    for number, (form, value) in inline.items():
        struct.pack_into(form, piece[0], places[number], value)
    for number, value in fields.items():
        if not isinstance(value, tuple):
            writer.point(piece, places[number], _write_value(writer, value))
    return piece[1]


def _write_value(writer: _Pieces, value: str | Fields | Sequence[Fields] | npt.NDArray[Any]) -> int:
    if isinstance(value, str):
        text = value.encode()
        return writer.add(bytearray(struct.pack("<I", len(text)) + text + b"\0"), align=4)[1]
    if isinstance(value, np.ndarray):
        align = ALIGNMENT if value.dtype == np.uint8 else 4
        _, at = writer.add(bytearray(struct.pack("<I", len(value))), align=align, after=4)
        writer.add(value.view(np.uint8).data, align=1)
        return at
    if isinstance(value, Mapping):
        return _write_table(writer, value)
    vector = writer.add(bytearray(struct.pack("<I", len(value)) + bytes(4 * len(value))), align=4)
    for i, table in enumerate(value):
        writer.point(vector, 4 + 4 * i, _write_table(writer, table))
    return vector[1]

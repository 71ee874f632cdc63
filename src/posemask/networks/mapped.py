"""Weights in a file, mapped into memory: read when they are touched, and droppable when they have been used.

A network is loaded by copying its weights into a runtime's own layout. Mapped, the file's copy need not stay in memory
beside that one: what has been copied can be dropped and would be read again if it were touched again.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["drop_pages", "map_file"]


def map_file(path: Path) -> memoryview:
    """The bytes of a file, read-only. Raises `OSError`."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return memoryview(b"")  # nothing can be mapped
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def drop_pages(array: npt.NDArray[Any]) -> None:
    """Let go of the memory of the mapped file that holds an array; its values stay as they are, on the disk.

    Does nothing for an array that is in no mapped file, and where the system has no such advice.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    mapping = base.obj if isinstance(base, memoryview) else base
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)

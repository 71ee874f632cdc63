"""Structs of arrays whose fields have a row for each of the same things."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

__all__ = ["Rows", "joined"]


class Rows:
    """A dataclass of arrays with as many rows each; indexing selects the same rows of all."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))  # type: ignore[arg-type]

    def __getitem__(self: T, which: Any) -> T:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return type(self)(*(getattr(self, field.name)[which] for field in fields))


T = TypeVar("T", bound=Rows)


def joined(parts: Sequence[T]) -> T:
    """The rows of one or more, in their order."""
    fields = dataclasses.fields(parts[0])  # type: ignore[arg-type]
    return type(parts[0])(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields))

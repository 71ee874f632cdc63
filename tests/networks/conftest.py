"""The real networks, where they are on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from posemask.weights import default_store


@pytest.fixture(scope="session")
def published() -> Callable[[str], Path]:
    """The file of a published network by name; skips where it is not on this machine."""

    def find(name: str) -> Path:
        found = default_store().status(name).path
        if found is None:
            pytest.skip(f"{name} is not on this machine: set POSEMASK_WEIGHTS or run `posemask models fetch {name}`")
        return found

    return find

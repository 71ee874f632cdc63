"""A store with one small published model on a server of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from posemask.weights import Store

from .server import Server, published, serve


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path, server: Server) -> Store:
    """A store whose catalogue is the one model ``tiny``, published on the server."""
    return Store(folders=(), cache=tmp_path / "cache", catalogue={"tiny": published(server)}, timeout_s=5.0)

"""Fixtures that several rooms share: the reference data, the real weights, a few pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def find_shared_data() -> Path | None:
    """The folder of reference data: POSEMASK_SHARED_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("POSEMASK_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if (folder / "manifest.json").is_file() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = find_shared_data()
    if folder is None:
        pytest.skip("the reference data is absent: set POSEMASK_SHARED_DATA to its folder")
    return folder

"""Every test of the maths runs on each array library that is installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def _read_only(values: Any) -> Any:
    array = np.array(values, np.float64)
    array.flags.writeable = False
    return array


@pytest.fixture(params=["numpy", "torch", "array_api_strict"])
def asarray(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Makes a float64 array of one library; numpy's are read-only, so that writing into an argument fails."""
    if request.param == "numpy":
        return _read_only
    library = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return lambda values: library.asarray(np.array(values, np.float64))


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> Callable[[str], Any]:
    return lambda name: json.loads((shared_data / "golden" / name).read_text())

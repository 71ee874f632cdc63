"""The real networks and the reference's pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import posemask


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> Callable[[str], Any]:
    return lambda name: json.loads((shared_data / "golden" / name).read_text())


@pytest.fixture(scope="session")
def picture(shared_data: Path) -> Callable[[str], np.ndarray]:
    """Reads a picture by its key in the golden files and checks that it decodes to the very same bytes."""
    expected = {}
    for name in ("images.json", "multi.json"):
        expected |= json.loads((shared_data / "golden" / name).read_text())

    def read(key: str) -> np.ndarray:
        if key.startswith("skimage:"):
            data = pytest.importorskip(
                "skimage.data", reason="scikit-image, which brings this picture, is not installed"
            )
            image = np.ascontiguousarray(getattr(data, key.removeprefix("skimage:"))()[..., :3])
        else:
            image = posemask.read_image(shared_data / key)
        if key in expected:
            assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == expected[key]["sha256"], (
                f"{key} decodes otherwise"
            )
        return image

    return read


@pytest.fixture(scope="session")
def golden_mask(shared_data: Path) -> Callable[[str], np.ndarray]:
    """Reads one of the golden masks as float64 in [0, 1]."""
    return lambda name: np.asarray(Image.open(shared_data / "golden" / name)) / 255


@pytest.fixture(scope="session")
def iou() -> Callable[[np.ndarray, np.ndarray], float]:
    """Intersection over union of two masks at 0.5; 1 where both are empty."""

    def of(a: np.ndarray, b: np.ndarray) -> float:
        a, b = a > 0.5, b > 0.5
        union = np.count_nonzero(a | b)
        return np.count_nonzero(a & b) / union if union else 1.0

    return of

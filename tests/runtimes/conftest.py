"""Real networks and what they would be given of a real picture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from posemask.networks.graph import Graph
from posemask.networks.read_tflite import read_tflite
from posemask.weights import default_store


@pytest.fixture(scope="session")
def graph_of() -> Callable[[str], Graph]:
    """A published network by name; skips where its file is not on this machine."""

    @cache
    def read(name: str) -> Graph:
        found = default_store().status(name).path
        if found is None:
            pytest.skip(f"{name} is not on this machine: set POSEMASK_WEIGHTS or run `posemask models fetch {name}`")
        return read_tflite(found)

    return read


@pytest.fixture(scope="session")
def input_of(shared_data: Path, graph_of: Callable[[str], Graph]) -> Callable[..., np.ndarray[Any, Any]]:
    """The input of a network for a picture: the person's crop for landmarks, else the whole picture, scaled."""
    golden = json.loads((shared_data / "golden" / "images.json").read_text())

    def prepare(name: str, file: str = "groundtruth/tfjs_pose/pose.jpg") -> np.ndarray[Any, Any]:
        _, height, width, _ = graph_of(name).input_shapes[0]
        with Image.open(shared_data / file) as opened:
            picture = opened.convert("RGB")
        if name.startswith("pose_landmark"):
            roi = golden[file]["roi"]
            (x, y), step = roi["centre"], roi["size"] / width
            cos, sin, half = math.cos(roi["rotation"]) * step, math.sin(roi["rotation"]) * step, width / 2
            image_from_crop = (cos, -sin, x - half * (cos - sin), sin, cos, y - half * (sin + cos))
            crop = picture.transform(
                (width, height), Image.Transform.AFFINE, image_from_crop, Image.Resampling.BILINEAR
            )
        else:
            crop = picture.resize((width, height), Image.Resampling.BILINEAR)
        values = np.asarray(crop, np.float32)[None] / 255
        return values * 2 - 1 if "detection" in name else values

    return prepare

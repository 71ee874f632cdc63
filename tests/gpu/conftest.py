"""What the GPU tests share: torch or a skip, the real weights, a place where kernels run on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the GPU engine needs torch: pip install posemask[torch]")

from posemask.errors import WeightsError  # noqa: E402
from posemask.networks.graph import Graph  # noqa: E402
from posemask.networks.read_tflite import read_tflite  # noqa: E402


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Torch's threads wait for each other in loops: beside other programs that takes many times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    reason = pytest.mark.skip(reason="no CUDA device: tests of the GPU itself need one")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(reason)


@pytest.fixture(scope="session")
def kernel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where emulated kernels are built; POSEMASK_EMULATOR_CACHE keeps them between runs."""
    named = os.environ.get("POSEMASK_EMULATOR_CACHE")
    if named:
        Path(named).mkdir(parents=True, exist_ok=True)
        return Path(named)
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def tiles_of_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks take the kernels that are tuned for one picture, whatever their batch: a third as many to build.

    Every network runs every batch; the kernels that are tuned for many pictures have tests of their own.
    """
    from posemask.gpu import launches, network

    def launch_of(step: Any, shapes: Any, *, batch: int, **options: Any) -> launches.Launch | None:
        return launches.launch_of(step, shapes, batch=1, **options)

    monkeypatch.setattr(network, "launch_of", launch_of)


@pytest.fixture(scope="session")
def graph_of() -> Callable[[str], Graph]:
    """Reads a published network; skips where its weights are not to be had."""

    def read(name: str) -> Graph:
        folder = os.environ.get("POSEMASK_WEIGHTS")
        path = Path(folder) / f"{name}.tflite" if folder else None
        if path is None or not path.is_file():
            try:
                from posemask import weights

                path = weights.path(name)
            except (ImportError, WeightsError, OSError) as error:
                pytest.skip(f"the weights {name} cannot be had: {error}")
        return read_tflite(path)

    return read


@pytest.fixture(scope="session")
def person() -> np.ndarray:
    """A photograph of a whole person, (667, 1000, 3) uint8."""
    data = os.environ.get("POSEMASK_SHARED_DATA")
    folder = Path(data) if data else Path(__file__).resolve().parents[3] / "shared" / "data"
    path = folder / "groundtruth" / "tfjs_pose" / "pose.jpg"
    if not path.is_file():
        pytest.skip("the reference data is absent: set POSEMASK_SHARED_DATA to its folder")
    from PIL import Image

    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))

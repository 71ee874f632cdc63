"""``--device cuda`` is taken by every command that runs a network, and where there is no GPU one line says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from posemask.errors import WeightsError  # noqa: E402

COMMANDS = (
    ("pose",),
    ("mask",),
    ("mask", "--model", "blazepose"),
    ("blur",),
    ("replace", "--background", "#00ff00"),
    ("cutout",),
    ("parts", "--model", "blazepose"),
    ("bench", "--model", "landscape", "--streams", "2"),
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    from posemask import weights

    try:
        for name in ("pose_detection", "pose_landmark_full", "selfie_segmentation", "selfie_segmentation_landscape"):
            weights.path(name)
    except WeightsError as error:
        pytest.skip(f"the weights are absent: {error}")
    path = tmp_path / "grey.png"
    Image.fromarray(np.full((96, 128, 3), 128, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_missing_gpu_is_one_line(run: Callable[..., Any], picture: Path, command: tuple[str, ...]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    name, *options = command
    given = ("--input", picture) if name == "bench" else (picture, "-o", picture.with_name("out.png"))
    outcome = run(name, *given, *options, "--device", "cuda")
    assert outcome.status == 1
    assert "CUDA" in outcome.error_line
    assert "not available" in outcome.error_line
    assert not picture.with_name("out.png").exists()


@pytest.mark.gpu
@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
def test_commands_on_a_gpu(run: Callable[..., Any], picture: Path, command: tuple[str, ...]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    name, *options = command
    made = picture.with_name("out.json" if name == "pose" else "out.png")
    outcome = run(name, picture, "-o", made, *options, "--device", "cuda")
    assert outcome.status == 0, outcome.err
    assert made.exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--device", "cuda", "--threads", "2"),
        ("--device", "cuda", "--against", "mediapipe"),
        ("--device", "cuda", "--model", "vast"),
        ("--device", "tpu"),
        ("--streams", "4"),
        ("--device", "cuda", "--decode"),
    ],
    ids=" ".join,
)
def test_bench_says_which_options_go_together(run: Callable[..., Any], options: tuple[str, ...]) -> None:
    outcome = run("bench", *options)
    assert outcome.status != 0
    assert outcome.error_line.count("--")


def test_rows_of_the_gpu_bench() -> None:
    from posemask.bench.on_gpu import COLUMNS, Measured, networks_of

    assert networks_of(["full", "landscape"]) == [
        "pose_detection",
        "pose_landmark_full",
        "selfie_segmentation_landscape",
    ]
    row = Measured(work="full: keypoints", at_once=16, ms=0.5, frames_per_s=32000.0, busy=0.125)
    assert row.cells() == ("full: keypoints", "16", "0.500", "", "32000", "", "12%")
    assert len(row.cells()) == len(COLUMNS)
    assert row.to_dict()["memory_mb"] is None

"""Every hostile file ends in a right result or in a one-line error, within 10 s and 1 GiB; nothing crashes or hangs.

Files are read in subprocesses, a folder in each: a crash, a hang or an allocation beyond the limit would end them.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process with RLIMIT_AS")

SECONDS = 10

READ_A_FOLDER = f"""
import itertools, json, resource, signal, sys, time, warnings
from pathlib import Path

warnings.simplefilter("ignore")
from posemask.errors import ImageError, VideoError
from posemask.media import is_video, read_image, read_video

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

def read(path):
    if not is_video(path):
        return list(read_image(path).shape)
    with read_video(path) as video:
        shapes = [frame.image.shape for frame in video]
    return [len(shapes), *shapes[0]]

for path in sorted(Path(sys.argv[1]).iterdir()):
    signal.alarm({SECONDS})  # ends the process, whatever it is doing
    print(json.dumps({{"file": path.name}}), flush=True)
    try:
        outcome = {{"result": read(path)}}
    except (ImageError, VideoError) as error:
        outcome = {{"error": str(error)}}
    print(json.dumps(outcome), flush=True)
"""

FOLDERS = [
    "corkami_mini",
    "derived",
    "exif_orientation",
    "heif_valid",
    "jpegturbo_seeds",
    "libheif_fuzz",
    "mp4parse_bad",
    "pillow_bad",
    "pillow_valid_odd",
    "video",
]


@functools.cache
def read_folder(folder):
    """What came of every file of a folder: {name: {"result": shape} or {"error": message}}."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", READ_A_FOLDER, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (
        f"exit status {done.returncode} at {lines[-1] if lines else None}: {done.stderr[-2000:]}"
    )
    return {named["file"]: outcome for named, outcome in zip(lines[::2], lines[1::2], strict=True)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_ends_in_a_result_or_in_one_line(shared_data, folder):
    outcomes = read_folder(shared_data / "hostile" / folder)
    assert sorted(outcomes) == sorted(path.name for path in (shared_data / "hostile" / folder).iterdir())
    for name, outcome in outcomes.items():
        if "error" in outcome:
            assert name in outcome["error"]
            assert "\n" not in outcome["error"]
            assert len(outcome["error"].replace(str(shared_data), "")) < 250

    manifest = json.loads((shared_data / "manifest.json").read_text())
    kinds = {entry["file"]: entry["kind"] for entry in manifest}
    for name, outcome in outcomes.items():
        if kinds[f"hostile/{folder}/{name}"].startswith("odd-valid") and not name.endswith(".heic"):
            assert "result" in outcome, f"{name} is valid: {outcome}"


def test_all_folders_are_read(shared_data):
    assert sorted(path.name for path in (shared_data / "hostile").iterdir()) == sorted(FOLDERS)


def test_what_is_derived_has_the_right_size(shared_data):
    outcomes = read_folder(shared_data / "hostile/derived")
    refused = {
        "bomb_30000x30000_1bit.png",
        "empty.jpg",
        "empty.mp4",
        "header_only.mp4",
        "pose_truncated.jpg",
        "text.jpg",
    }
    assert {name for name in outcomes if "error" in outcomes[name]} == refused | {"truncated_half.mp4"}
    results = {name: outcome.get("result") for name, outcome in outcomes.items()}
    assert results["one_pixel.png"] == [1, 1, 3]
    assert results["one_row_8000x1.png"] == [1, 8000, 3]
    assert results["pose_1_vfr.mp4"] == [60, 576, 576, 3]
    assert results["basketball_rot90.mp4"] == [40, 1080, 1920, 3]
    assert results["pose_anim.gif"] == [3, 167, 250, 3]
    stills = [name for name in results if name.startswith("pose") and name not in refused and "_1_" not in name]
    assert all(results[name] == [667, 1000, 3] for name in stills if name != "pose_anim.gif")

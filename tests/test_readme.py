"""Every command and every example in the README runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("posemask ")
]
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shared_data) -> Path:
    """A folder with the files that the README speaks of."""
    data = pytest.importorskip("skimage.data", reason="scikit-image, which brings the photograph, is not installed")
    import posemask

    folder = tmp_path_factory.mktemp("readme")
    posemask.write_image(folder / "astronaut.png", data.astronaut())
    posemask.write_image(folder / "beach.jpg", data.coffee())
    with (
        posemask.read_video(shared_data / "videos" / "mediapipe_talking_head.mp4", end=0.5) as video,
        posemask.VideoWriter(folder / "call.mp4", like=video) as writer,
    ):
        for frame in video:
            writer.write(frame.image, frame.time)
    return folder


def test_the_readme_has_commands_and_examples():
    assert len(COMMANDS) >= 7
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_run(folder, command):
    arguments = shlex.split(command, comments=True)[1:]
    code = "import sys; from posemask.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    for option in ("-o", "--render"):
        if option in arguments:
            assert (folder / arguments[arguments.index(option) + 1]).stat().st_size > 0


def test_examples_of_the_readme_run(folder):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(EXAMPLES)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "left_shoulder" in done.stdout
    for name in ("skeleton.mp4", "blurred.jpg", "cutout.png"):
        assert (folder / name).stat().st_size > 0


def test_the_readme_names_files_that_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).is_file(), target

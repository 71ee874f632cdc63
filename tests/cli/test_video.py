"""The commands on videos: times, sound and sizes are kept, stages overlap, and nothing half written is left."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from posemask.errors import InferenceError, OutputError
from posemask.media import VideoWriter, is_video, read_image, read_video

from .stand_ins import (
    StandInSegmenter,
    stand_in_models,  # noqa: F401 (the fixture called `made`)
)

TIMES = [0.0, 0.04, 0.2, 0.21, 0.5, 0.54, 0.58]


@pytest.fixture
def clip(tmp_path):
    """Seven frames, 60 x 80, at odd times; they become brighter."""
    return make(tmp_path / "clip.mp4", TIMES)


def make(path, times):
    with VideoWriter(path) as writer:
        for index, at in enumerate(times):
            writer.write(np.full((60, 80, 3), (40 + 8 * (index % 20), 60, 90), np.uint8), at)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("made")
class TestEachCommand:
    def test_pose(self, run, clip, tmp_path, made):
        outcome = run("pose", clip, "-o", tmp_path / "clip.json", "--render", tmp_path / "drawn.mp4")
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out.startswith(f"{tmp_path}/clip.json, {tmp_path}/drawn.mp4: 7 frames in ")
        document = json.loads((tmp_path / "clip.json").read_text())
        assert [frame["time"] for frame in document["frames"]] == pytest.approx(TIMES, abs=2e-5)
        assert [frame["index"] for frame in document["frames"]] == list(range(7))
        noses = [frame["people"][0]["keypoints"][0] for frame in document["frames"]]
        assert [x for x, *_ in noses] == pytest.approx([40 + 8 * k for k in range(7)], abs=3)
        assert [y for _, y, *_ in noses] == pytest.approx(TIMES, abs=0.006)
        assert noses[0][4] is None
        assert document["frames"][0]["people"][0]["id"] == 1
        with read_video(tmp_path / "drawn.mp4") as video:
            assert [frame.time for frame in video] == pytest.approx(TIMES, abs=2e-5)
        assert made["model"].resets == 1

    def test_pose_is_printed_as_lines(self, run, clip):
        lines = run("pose", clip, "--json", "-").out.splitlines()
        assert [json.loads(line).get("index") for line in lines] == [None, *range(7)]

    def test_options_reach_the_model(self, run, clip, made, tmp_path):
        run("pose", clip, "--no-smooth", "--threads", 3, "--runtime", "litert", "--device", "cpu")
        options = made["detector"]
        assert (options["enable_smoothing"], options["smooth_segmentation"]) == (False, False)
        assert (options["threads"], options["runtime"], options["device"]) == (3, "litert", "cpu")

    def test_blur(self, run, clip, tmp_path):
        assert run("blur", clip).status == 0
        with read_video(tmp_path / "clip.out.mp4") as video:
            assert video.size_hw == (60, 80)
            assert [frame.time for frame in video] == pytest.approx(TIMES, abs=2e-5)

    def test_mask(self, run, clip, tmp_path):
        assert run("mask", clip, "-o", tmp_path / "mask.webm").status == 0
        frames = [frame.image for frame in read_video(tmp_path / "mask.webm")]
        assert len(frames) == 7
        assert all(image[:, :36].min() > 240 and image[:, 44:].max() < 15 for image in frames)

    def test_cutout(self, run, clip, tmp_path):
        assert run("cutout", clip).status == 0
        with av.open(str(tmp_path / "clip.out.mov")) as container:
            alphas = [frame.to_ndarray(format="rgba")[..., 3] for frame in container.decode(video=0)]
        assert len(alphas) == 7
        assert all(alpha[:, :36].min() > 250 and alpha[:, 44:].max() < 5 for alpha in alphas)

    def test_cutout_as_frames(self, run, clip, tmp_path):
        assert run("cutout", clip, "--frames", "-o", tmp_path / "frames").status == 0
        assert names(tmp_path / "frames") == [*(f"{index:06d}.png" for index in range(7)), "times.csv"]

    def test_replace_by_a_video(self, run, clip, tmp_path):
        """The background runs along in real time, and starts again when it has ended."""
        make(tmp_path / "behind.mp4", [0.0, 0.1, 0.2, 0.3])  # a round takes 0.4 s
        assert run("replace", clip, "-b", tmp_path / "behind.mp4", "-o", tmp_path / "out.mp4").status == 0
        behind = [float(frame.image[:, 50:, 0].mean()) for frame in read_video(tmp_path / "out.mp4")]
        expected = [0, 0, 2, 2, 1, 1, 1]
        assert behind == pytest.approx([40 + 8 * k for k in expected], abs=3)

    def test_an_animation(self, run, shared_data, tmp_path):
        assert run("mask", shared_data / "hostile/derived/pose_anim.gif", "-o", tmp_path / "mask.mp4").status == 0
        assert len(list(read_video(tmp_path / "mask.mp4"))) == 3

    def test_rotation_and_sound(self, run, shared_data, tmp_path):
        assert (
            run(
                "blur", shared_data / "hostile/derived/basketball_rot90.mp4", "-o", tmp_path / "a.mp4", "--end", 0.5
            ).status
            == 0
        )
        assert read_video(tmp_path / "a.mp4").size_hw == (1080, 1920)
        nasa = shared_data / "hostile/video/nasa_13013.mp4"
        assert run("blur", nasa, "-o", tmp_path / "b.mp4", "--start", 1, "--end", 2).status == 0
        with read_video(tmp_path / "b.mp4") as video:
            assert video.has_audio
            assert len(list(video)) == 30


@pytest.mark.usefixtures("made")
class TestManyInputs:
    def test_each_video_starts_anew(self, run, clip, tmp_path, made):
        make(tmp_path / "second.mp4", TIMES)
        assert run("pose", clip, tmp_path / "second.mp4", "-o", tmp_path / "out").status == 0
        assert names(tmp_path / "out") == ["clip.json", "second.json"]
        assert made["model"].resets == 2

    def test_pictures_and_videos_and_failures(self, run, clip, tmp_path, shared_data):
        pose = shared_data / "groundtruth/tfjs_pose/pose.jpg"
        broken = shared_data / "hostile/derived/truncated_half.mp4"
        outcome = run("mask", pose, broken, clip, "-o", tmp_path / "out")
        assert outcome.status == 1
        assert "truncated_half.mp4 is damaged" in outcome.error_line
        assert names(tmp_path / "out") == ["clip.mp4", "pose.png"]

    def test_damage_is_told(self, run, clip, tmp_path):
        whole = make(tmp_path / "whole.mkv", [k / 25 for k in range(50)]).read_bytes()
        (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
        outcome = run("mask", tmp_path / "cut.mkv", "-o", tmp_path / "mask.mp4")
        assert outcome.status == 0
        assert 0 < len(list(read_video(tmp_path / "mask.mp4"))) < 50


class TestNothingHalfDone:
    def test_when_the_model_fails(self, run, clip, tmp_path, made, monkeypatch):
        def fail(self, image, *, timestamp=None):
            if timestamp > 0.3:
                raise InferenceError("the network has failed")
            return real(self, image, timestamp=timestamp)

        real = StandInSegmenter.segment_people
        monkeypatch.setattr(StandInSegmenter, "segment_people", fail)
        outcome = run("blur", clip, "-o", tmp_path / "out.mp4")
        assert outcome.status == 1
        assert "the network has failed" in outcome.error_line
        assert names(tmp_path) == ["clip.mp4"]

    def test_the_error_names_the_output_that_failed(self, run, clip, tmp_path, made, monkeypatch):
        def fail(self, image, time):
            raise OutputError("cannot write drawn.mp4: no space")

        monkeypatch.setattr(VideoWriter, "write", fail)
        outcome = run("pose", clip, "-o", tmp_path / "clip.json", "--render", tmp_path / "drawn.mp4")
        assert outcome.error_line == "posemask: error: cannot write drawn.mp4: no space"
        assert names(tmp_path) == ["clip.mp4"]

    def test_a_full_disk(self, run, clip, tmp_path, made, monkeypatch):
        class Full(io.StringIO):
            def write(self, text):
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "open", lambda self, *given, **options: Full())
        outcome = run("pose", clip, "-o", tmp_path / "clip.json")
        assert outcome.error_line == f"posemask: error: cannot write {tmp_path}/clip.json: No space left on device"
        monkeypatch.undo()
        assert names(tmp_path) == ["clip.mp4"]

    def test_when_one_of_two_outputs_is_there(self, run, clip, tmp_path, made):
        (tmp_path / "drawn.mp4").write_text("precious")
        outcome = run("pose", clip, "-o", tmp_path / "clip.json", "--render", tmp_path / "drawn.mp4")
        assert outcome.status == 1
        assert "kept" in outcome.error_line
        assert names(tmp_path) == ["clip.mp4", "drawn.mp4"]
        assert made["model"].calls == []

    def test_a_video_on_the_standard_output(self, run, clip, made):
        assert "name a file" in run("blur", clip, "-o", "-").error_line

    @pytest.mark.skipif(os.name == "nt", reason="signals")
    @pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
    def test_when_it_is_broken_off(self, tmp_path, request_to_end):
        make(tmp_path / "long.mp4", [k / 25 for k in range(400)])
        with program("blur", tmp_path / "long.mp4", "-o", tmp_path / "out.mp4") as process:
            for _ in range(5):
                assert process.stdout.readline() == "frame\n"
            assert any(name.endswith(".part.mp4") for name in names(tmp_path))
            process.send_signal(request_to_end)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert err == "posemask: error: interrupted\n"
        assert names(tmp_path) == ["long.mp4"]


PROGRAM = """
import sys, time
import posemask.cli.options as options
sys.path.insert(0, sys.argv.pop(1))
from cli.stand_ins import left_half

def find(image, at):
    print("frame", flush=True)
    time.sleep(0.05)
    return [left_half(image.shape[:2])]

options.people_finder = lambda *given, **options: (find, lambda: None)
from posemask.cli import main
sys.exit(main())
"""


def program(*arguments):
    """The command line as a process of its own, with a model that takes a twentieth of a second and says "frame"."""
    tests = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", PROGRAM, tests, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_libraries_do_not_speak_beside_our_one_line(shared_data, tmp_path):
    """libtiff writes to the error stream itself, Pillow warns and logs."""
    bad = shared_data / "hostile/pillow_bad"
    files = [
        bad / "oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif",
        *bad.glob("crash-0c7*.tif"),
        bad / "hopper_bad_exif.jpg",
    ]
    with program("mask", *files, "-o", tmp_path / "out") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == f"frame\n{tmp_path}/out/hopper_bad_exif.png\n"
    assert [line[:16] for line in err.splitlines()] == ["posemask: error:"] * 2
    talkative = next(bad.glob("crash-338*.tif"))
    with program("replace", files[-1], "-b", talkative, "-o", tmp_path / "out.png") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert [line[:16] for line in err.splitlines()] == ["posemask: error:"]


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar(tmp_path):
    import pty

    make(tmp_path / "clip.mp4", [k / 25 for k in range(40)])
    master, slave = pty.openpty()
    tests = str(Path(__file__).resolve().parents[1])
    arguments = ["blur", str(tmp_path / "clip.mp4"), "-o", str(tmp_path / "out.mp4")]
    command = [sys.executable, "-c", PROGRAM, tests, *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = bytearray()
        with contextlib.suppress(OSError):  # the terminal's other end is gone
            while data := os.read(master, 4096):
                shown += data
    os.close(master)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())  # without colours
    assert re.search(r"clip\.mp4 .*\b\d+/40 +\d+\.\d/s +\d:\d\d:\d\d", text)


@pytest.mark.usefixtures("made")
def test_every_hostile_file(run, shared_data, tmp_path):
    """Each ends in a result or in one line; no file is left half written, no output is missing or too much."""
    files = [path for path in sorted((shared_data / "hostile").rglob("*")) if path.is_file()]
    outcome = run("mask", *files, "-o", tmp_path / "out")
    results, errors = outcome.out.splitlines(), outcome.err.splitlines()
    assert outcome.status == 1
    assert len(results) + len(errors) == len(files)
    assert all(line.startswith("posemask: error: ") for line in errors)
    assert sorted(line.split(":")[0] for line in results) == [
        str(path) for path in sorted((tmp_path / "out").iterdir())
    ]
    for path in (tmp_path / "out").iterdir():
        if is_video(path):
            with read_video(path) as video:
                next(video)
        else:
            read_image(path)

"""MediaPipe's own chains with our weights: exactly the golden numbers, which MediaPipe made, in our values."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from posemask.errors import InputError, ModelFileError, RuntimeUnavailableError, TimestampError
from posemask.networks.graph import Graph

pytest.importorskip("mediapipe", reason="MediaPipe is not installed: pip install posemask[mediapipe]")

from posemask.runtimes import mediapipe

Graphs = Callable[[str], Graph]
Picture = np.ndarray[Any, np.dtype[np.uint8]]

# the golden files are rounded to 3 digits (pixels) and 5 digits (metres, probabilities); float32 adds a little
PIXELS, FINE = 6e-4, 6e-6

POSE = "groundtruth/tfjs_pose/pose.jpg"


def picture(shared_data: Path, name: str) -> Picture:
    if name.startswith("skimage:"):
        return getattr(pytest.importorskip("skimage.data"), name.partition(":")[2])()
    with Image.open(shared_data / name) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> dict[str, Any]:
    return json.loads((shared_data / "golden" / "images.json").read_text())


@pytest.fixture(scope="module")
def blazepose(graph_of: Graphs) -> mediapipe.MediaPipeChain:
    return mediapipe.load_blazepose(graph_of("pose_detection"), graph_of("pose_landmark_full"), segmentation=True)


def check_pose(pose: Any, expected: dict[str, Any], fine: float = FINE) -> None:
    assert np.abs(np.column_stack([pose.xy, pose.z]) - expected["xyz"]).max() < PIXELS
    assert np.abs(pose.world - expected["world"]).max() < fine
    assert np.abs(pose.visibility - expected["visibility"]).max() < fine
    assert np.abs(pose.presence - expected["presence"]).max() < fine


def check_mask(mask: Any, file: Path) -> None:
    with Image.open(file) as opened:
        assert np.array_equal(np.rint(np.asarray(mask) * 255), np.asarray(opened))


def test_pictures(blazepose: mediapipe.MediaPipeChain, golden: dict[str, Any], shared_data: Path) -> None:
    for name, expected in golden.items():
        poses = mediapipe.estimate(blazepose, picture(shared_data, name))
        assert len(poses) == len(expected["poses"]["full"])
        for pose, other in zip(poses, expected["poses"]["full"], strict=True):
            check_pose(pose, other)
            assert 0.5 < pose.score <= 1
            assert np.array_equal(pose.box, [*pose.xy.min(0), *pose.xy.max(0)])
            check_mask(pose.segmentation.mask, shared_data / "golden" / expected["masks"]["blazepose_full"])


@pytest.mark.parametrize("model_type", ["lite", "heavy"])
def test_the_other_landmark_networks(
    model_type: str, graph_of: Graphs, golden: dict[str, Any], shared_data: Path
) -> None:
    chain = mediapipe.load_blazepose(graph_of("pose_detection"), graph_of(f"pose_landmark_{model_type}"))
    (pose,) = mediapipe.estimate(chain, picture(shared_data, POSE))
    check_pose(pose, golden[POSE]["poses"][model_type][0])
    assert pose.segmentation is None


@pytest.mark.parametrize("model_type", ["general", "landscape"])
def test_selfie_masks(model_type: str, graph_of: Graphs, golden: dict[str, Any], shared_data: Path) -> None:
    name = "selfie_segmentation" + ("_landscape" if model_type == "landscape" else "")
    chain = mediapipe.load_selfie(graph_of(name))
    for file in list(golden)[:6]:
        (people,) = mediapipe.segment(chain, picture(shared_data, file))
        check_mask(people.mask, shared_data / "golden" / golden[file]["masks"][f"selfie_{model_type}"])


def test_several_people(blazepose: mediapipe.MediaPipeChain, shared_data: Path) -> None:
    name = "groundtruth/tfjs_bodypix/three_people.jpg"
    expected = json.loads((shared_data / "golden" / "multi.json").read_text())[name]["poses"]
    poses = mediapipe.estimate(blazepose, picture(shared_data, name), max_people=5)
    assert len(poses) == len(expected) > 1
    for pose, other in zip(poses, expected, strict=True):
        check_pose(pose, other)


def frames(file: Path, count: int) -> Iterator[tuple[Picture, float]]:
    av = pytest.importorskip("av")
    with av.open(str(file)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i == count:
                return
            yield frame.to_ndarray(format="rgb24"), float(frame.pts * frame.time_base)


def test_streams(graph_of: Graphs, shared_data: Path) -> None:
    """Tracking and smoothing are MediaPipe's, so even this chaotic sequence is the same to the digit."""
    name = "groundtruth/tfjs_pose/pose_1.mp4"
    expected = json.loads((shared_data / "golden" / "videos.json").read_text())[name]["frames"]
    chain = mediapipe.load_blazepose(graph_of("pose_detection"), graph_of("pose_landmark_full"))
    state = None
    for i, (image, time) in enumerate(frames(shared_data / name, 15)):
        state, poses = mediapipe.step(chain, state, image, time)
        assert len(poses) == len(expected[i]["tasks"])
        for pose, other in zip(poses, expected[i]["tasks"], strict=True):
            check_pose(pose, other, fine=6e-5)  # rounded to 4 digits here


def test_a_stream_starts_afresh_with_another_size(blazepose: mediapipe.MediaPipeChain, shared_data: Path) -> None:
    image = picture(shared_data, POSE)
    state, _ = mediapipe.step(blazepose, None, image, 0.0)
    smaller = np.ascontiguousarray(image[:600, :900])
    state, poses = mediapipe.step(blazepose, state, smaller, 0.033)
    _, afresh = mediapipe.step(blazepose, None, smaller, 5.0)
    assert np.array_equal(poses[0].xy, afresh[0].xy)


def test_times_must_increase_but_may_lie_within_a_millisecond(
    blazepose: mediapipe.MediaPipeChain, shared_data: Path
) -> None:
    image = picture(shared_data, POSE)
    state, _ = mediapipe.step(blazepose, None, image, 1.0)
    state, poses = mediapipe.step(blazepose, state, image, 1.0001)
    assert len(poses) == 1
    for time in (1.0001, 0.5):
        with pytest.raises(TimestampError):
            mediapipe.step(blazepose, state, image, time)


def test_segmenting_a_stream(graph_of: Graphs, shared_data: Path) -> None:
    chain, image = mediapipe.load_selfie(graph_of("selfie_segmentation")), picture(shared_data, POSE)
    (single,) = mediapipe.segment(chain, image)
    state, (first,) = mediapipe.segment_step(chain, None, image, 0.0)
    state, (second,) = mediapipe.segment_step(chain, state, image, 0.04)
    for people in (first, second):  # there is no memory in it
        assert np.array_equal(np.asarray(people.mask), np.asarray(single.mask))


def test_mirrored_results(blazepose: mediapipe.MediaPipeChain, shared_data: Path) -> None:
    image = picture(shared_data, POSE)
    (pose,), (mirrored,) = (mediapipe.estimate(blazepose, image, flip_horizontal=flip) for flip in (False, True))
    assert np.allclose(mirrored.xy[:, 0], image.shape[1] - 1 - pose.xy[:, 0])
    assert np.array_equal(mirrored.xy[:, 1], pose.xy[:, 1])
    assert np.array_equal(mirrored.world * np.float32([-1, 1, 1]), pose.world)
    assert np.array_equal(np.asarray(mirrored.segmentation.mask), np.asarray(pose.segmentation.mask)[:, ::-1])
    mask = mirrored.segmentation.mask
    for array in (mirrored.xy, mirrored.world, mask.probabilities, mask.image_from_crop):
        assert not array.flags.writeable


def test_any_picture_will_do(blazepose: mediapipe.MediaPipeChain, shared_data: Path) -> None:
    image = picture(shared_data, POSE)
    (expected,) = mediapipe.estimate(blazepose, image)
    frozen = image.copy()
    frozen.flags.writeable = False
    mirrored = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    for given in (frozen, mirrored):
        (pose,) = mediapipe.estimate(blazepose, given)
        assert np.array_equal(pose.xy, expected.xy)
    with pytest.raises(InputError, match="uint8"):
        mediapipe.estimate(blazepose, image.astype(np.float32))


def test_wrong_networks_are_refused(graph_of: Graphs) -> None:
    """MediaPipe itself takes any."""
    detector, landmarks = graph_of("pose_detection"), graph_of("pose_landmark_lite")
    for pair in ((landmarks, landmarks), (detector, detector), (detector, landmarks.keep_outputs([0, 1, 3, 4, 2]))):
        with pytest.raises(ModelFileError, match="is not the published"):
            mediapipe.load_blazepose(*pair)
    with pytest.raises(ModelFileError, match="is not the published"):
        mediapipe.load_selfie(landmarks)


def test_tasks_in_garbage_are_closed(graph_of: Graphs) -> None:
    """Left to itself, such a task waits for its own dead thread for ever."""
    chain = mediapipe.load_selfie(graph_of("selfie_segmentation"))
    task = chain.for_pictures()
    cycle: list[Any] = [chain]
    cycle.append(cycle)
    del chain, cycle
    gc.collect()
    assert task._handle is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, graph_of: Graphs) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python", None)
    with pytest.raises(RuntimeUnavailableError, match=r"pip install posemask\[mediapipe\]"):
        mediapipe.load_selfie(graph_of("selfie_segmentation"))


def test_nothing_is_complained_about_at_exit(tmp_path: Path, graph_of: Graphs) -> None:
    graph_of("selfie_segmentation")
    script = tmp_path / "short.py"
    script.write_text(
        "from posemask.networks.read_tflite import read_tflite\n"
        "from posemask.runtimes import mediapipe\n"
        "from posemask.weights import path\n"
        "chain = mediapipe.load_selfie(read_tflite(path('selfie_segmentation')))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Exception" not in done.stderr

"""Videos against both releases of MediaPipe.

A frame's region comes from the last frame's keypoints, so rounding grows: two correct programs end pixels apart. So
the network's part is tested with the region forced, frame by frame and tightly; the whole trajectory only against the
distance between MediaPipe's two releases on the same frames.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

import posemask
from posemask import runtimes, weights
from posemask.models import blazepose, blazepose_stream
from posemask.networks.read_tflite import read_tflite
from posemask.numbers.geometry import image_from_crop
from posemask.pixels import native

VIDEOS = (
    "groundtruth/tfjs_pose/pose_1.mp4",
    "videos/single_person_demo.mp4",
    "videos/mediapipe_talking_head.mp4",
)


@pytest.fixture(scope="module")
def model() -> blazepose.BlazePose:
    """BlazePose full on the runtime that made the golden numbers, with its one thread."""

    def network(name: str, outputs: tuple[int, ...] | None = None):
        graph = read_tflite(weights.path(name))
        return runtimes.load(graph.keep_outputs(outputs) if outputs else graph, runtime="litert", threads=1)

    return blazepose.BlazePose(
        detector=network("pose_detection"),
        landmarker=network("pose_landmark_full", blazepose.OUTPUTS_WITH_MASK),
        segmentation=True,
    )


def frames_of(shared_data, golden, key):
    expected = golden("videos.json")[key]["frames"]
    with posemask.read_video(shared_data / key) as video:
        yield from zip(video, expected, strict=False)


@pytest.mark.parametrize("key", VIDEOS)
def test_landmarks_of_a_forced_region_equal_the_reference(shared_data, golden, model, key):
    checked = masks_checked = 0
    for frame, expected in frames_of(shared_data, golden, key):
        assert frame.time == pytest.approx(expected["time"], abs=1e-6)
        case = expected["forced_roi"]
        if not case or frame.index % 3:
            continue
        landmarks, masks = blazepose.observe(model, frame.image, np.array([case["roi"]]))
        # 0.0005 is the rounding of the golden numbers; ten times that leaves room for another build of the runtime
        np.testing.assert_allclose(landmarks.xyz[0], case["xyz"], atol=0.01)
        np.testing.assert_allclose(landmarks.auxiliary_xy[0], case["auxiliary_xy"], atol=0.01)
        np.testing.assert_allclose(landmarks.world[0], case["world"], atol=1e-4)
        np.testing.assert_allclose(landmarks.visibility[0], case["visibility"], atol=1e-3)
        assert landmarks.score[0] == pytest.approx(case["score"], abs=1e-3)
        assert abs(int((masks[0] > 0.5).sum()) - case["mask_area"]) <= 5
        name = f"{key.rpartition('/')[2].removesuffix('.mp4')}.{frame.index:04}.forced_roi_256.png"
        picture = shared_data / "golden" / "masks" / name
        if picture.exists():
            np.testing.assert_allclose(masks[0], np.asarray(Image.open(picture)) / 255, atol=0.01)
            masks_checked += 1
        checked += 1
    assert checked >= 10
    assert masks_checked >= 1


@pytest.mark.parametrize("key", VIDEOS)
def test_trajectories_lie_between_the_two_releases(shared_data, golden, model, key):
    state = None
    ours, tasks, legacy = [], [], []
    for frame, expected in frames_of(shared_data, golden, key):
        state, poses = blazepose_stream.step(model, state, frame.image, frame.time)
        assert bool(poses) == bool(expected["tasks"])
        if poses and expected["legacy"]:
            ours.append(poses[0].xy)
            tasks.append(np.array(expected["tasks"][0]["xyz"])[:, :2])
            legacy.append(np.array(expected["legacy"][0]["xyz"])[:, :2])

    def apart(a, b):
        return np.linalg.norm(np.array(a) - np.array(b), axis=-1).mean()

    def jitter(a):
        return np.linalg.norm(np.diff(np.array(a), 2, axis=0), axis=-1).mean()

    assert apart(ours, tasks) <= apart(tasks, legacy)
    assert apart(ours, legacy) <= apart(tasks, legacy)
    # The legacy release filters against a clock of 30 frames per second whatever the video's, so it is no measure here.
    assert jitter(ours) <= jitter(tasks)


def test_a_stream_finds_its_person_again_after_a_gap(shared_data, picture, model):
    person, nobody = picture("groundtruth/tfjs_pose/pose.jpg"), np.zeros((480, 640, 3), np.uint8)
    state, poses = blazepose_stream.step(model, None, person, 0.0)
    assert len(poses) == 1
    state, poses = blazepose_stream.step(model, state, nobody, 0.1)
    assert poses == []
    assert len(state.rois) == 0
    assert state.smoothing is None
    _, again = blazepose_stream.step(model, state, person, 0.2)
    (alone,) = blazepose.estimate(model, person)
    np.testing.assert_array_equal(again[0].xy, alone.xy)
    np.testing.assert_array_equal(again[0].segmentation.mask.probabilities, alone.segmentation.mask.probabilities)


@pytest.mark.parametrize(
    "roi",
    [
        pytest.param([256.0, 500.0, 900.0, 0.2], id="below"),
        pytest.param([-50.0, 200.0, 500.0, 0.0], id="left"),
        pytest.param([520.0, 240.0, 400.0, -0.3], id="right, turned"),
        pytest.param([250.0, 260.0, 1500.0, 1.2], id="all around, turned"),
        pytest.param([-700.0, -700.0, 300.0, 0.0], id="nowhere"),
    ],
)
def test_pixels_of_a_mask_outside_the_picture_change_nothing_inside(picture, roi):
    """Regions that hang over the picture's borders: what of the mask lies there is not made."""
    pytest.importorskip("posemask._engine", reason="only our own engine leaves pixels out")
    image = picture("skimage:astronaut")
    by_window = blazepose.load("lite", segmentation=True, runtime="native", threads=1)
    assert by_window.mask_by_window
    rois = np.array([roi])
    _, some = blazepose.observe(by_window, image, rois)
    _, whole = blazepose.observe(dataclasses.replace(by_window, mask_by_window=False), image, rois)
    assert np.count_nonzero(some) < 0.8 * some.size
    affine = image_from_crop(rois, 256)[0]
    pixels = [native.paste(masks[0], affine, image.shape[:2]) for masks in (some, whole)]
    np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("roi", [[0.0, 0.0, 13.0, 0.0], [39.0, 24.0, 13.0, 0.3], [-50.0, -50.0, 10.0, 0.8]])
def test_a_small_persons_mask_reaches_the_borders_of_a_larger_picture(picture, roi):
    """A larger picture's outermost pixels lie outside the centres of this one's: there, a mask's pixels count, too."""
    pytest.importorskip("posemask._engine", reason="only our own engine leaves pixels out")
    size_hw = (25, 40)
    image = native.resize(picture("images/yoga.jpg"), size_hw, method="area")
    by_window = blazepose.load("lite", segmentation=True, runtime="native", threads=1)
    rois = np.array([roi])
    larger = []
    for model in (by_window, dataclasses.replace(by_window, mask_by_window=False)):
        _, (mask,) = blazepose.observe(model, image, rois)
        affine = image_from_crop(rois, 256)[0]
        larger.append(
            posemask.Mask(probabilities=mask, image_from_crop=affine, size_hw=size_hw, paste=native.paste).at(250, 400)
        )
    np.testing.assert_array_equal(*larger)


def test_fewer_people_may_be_wanted_from_frame_to_frame(picture):
    """Who is still followed goes on as if nothing had changed."""
    one = picture("groundtruth/tfjs_pose/pose.jpg")
    two = np.ascontiguousarray(np.concatenate([one, one[:, ::-1]], axis=1))
    model = blazepose.load("lite", threads=1)
    state, poses = blazepose_stream.step(model, None, two, 0.0, max_people=2)
    assert len(poses) == 2
    _, (still, _) = blazepose_stream.step(model, state, two, 0.1, max_people=2)
    _, (alone,) = blazepose_stream.step(model, state, two, 0.1, max_people=1)
    np.testing.assert_array_equal(alone.xy, still.xy)
    assert alone.id == still.id

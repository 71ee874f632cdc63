"""The two unified APIs as their users call them."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import posemask
from posemask.errors import InputError, ModelFileError, RuntimeUnavailableError, TimestampError


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="scikit-image, which brings the picture, is not installed")
    image = np.ascontiguousarray(data.astronaut())
    image.flags.writeable = False
    return image


@pytest.fixture(scope="module")
def detector() -> posemask.PoseDetector:
    return posemask.create_detector("blazepose", model_type="lite", enable_segmentation=True)


@pytest.fixture(autouse=True)
def _fresh(detector):
    detector.reset()


def test_a_picture_gives_a_whole_pose(detector, astronaut):
    (pose,) = detector.estimate_poses(astronaut)
    assert pose.xy.shape == (33, 2)
    assert pose.world.shape == (33, 3)
    assert pose.xy.dtype == pose.z.dtype == pose.world.dtype == pose.visibility.dtype == np.float32
    nose = pose["nose"]
    assert (nose.name, nose.x, nose.y) == ("nose", pose.xy[0, 0], pose.xy[0, 1])
    assert 150 < nose.x < 300
    assert 50 < nose.y < 180
    assert [keypoint.name for keypoint in pose] == list(posemask.bodies.BLAZEPOSE.names)
    assert pose["left_shoulder"].x > pose["right_shoulder"].x, "she faces us"
    assert pose.score > 0.9
    assert pose.id is None
    mask = np.asarray(pose.segmentation.mask)
    assert mask.shape == astronaut.shape[:2]
    assert mask.dtype == np.float32
    assert mask[200, 220] > 0.9
    assert mask[5, 5] < 0.1
    assert pose.segmentation.label_of(255) == "person"


def test_results_cannot_be_changed(detector, astronaut):
    (pose,) = detector.estimate_poses(astronaut)
    masks = [pose.segmentation.mask, posemask.create_segmenter().segment_people(astronaut)[0].mask]
    arrays = [array for mask in masks for array in (mask.probabilities, mask.image_from_crop)]
    for array in (pose.xy, pose.z, pose.world, pose.visibility, pose.presence, pose.box, pose.roi, *arrays):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        pose.score = 1.0


@pytest.mark.parametrize("timestamps", [(None, None), (0.0, 0.1)])
def test_results_outlive_the_next_call(detector, astronaut, timestamps):
    (pose,) = detector.estimate_poses(astronaut, timestamp=timestamps[0])
    kept = pickle.loads(pickle.dumps(pose))
    detector.estimate_poses(astronaut[:, ::-1], timestamp=timestamps[1])
    for name in ("xy", "z", "world", "visibility", "presence", "box", "roi"):
        np.testing.assert_array_equal(getattr(pose, name), getattr(kept, name))
    np.testing.assert_array_equal(np.asarray(pose.segmentation.mask), np.asarray(kept.segmentation.mask))


def test_threads_may_share_a_detector(detector, astronaut):
    pictures = [astronaut, astronaut[:, ::-1]] * 6
    alone = [detector.estimate_poses(picture)[0] for picture in pictures[:2]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector.estimate_poses, pictures))
    for i, poses in enumerate(found):
        np.testing.assert_array_equal(poses[0].xy, alone[i % 2].xy)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_detector_says_that_it_cannot_be_duplicated(detector, duplicate):
    with pytest.raises(TypeError, match="a PoseDetector cannot be pickled or copied; create one"):
        duplicate(detector)


def test_pictures_share_no_state(detector, astronaut):
    (first,) = detector.estimate_poses(astronaut)
    detector.estimate_poses(np.zeros((100, 300, 3), np.uint8))
    (second,) = detector.estimate_poses(astronaut)
    np.testing.assert_array_equal(first.xy, second.xy)


def test_a_stream_starts_like_a_picture_and_forgets_on_reset(detector, astronaut):
    (alone,) = detector.estimate_poses(astronaut)
    (first,) = detector.estimate_poses(astronaut, timestamp=10.0)
    np.testing.assert_array_equal(alone.xy, first.xy)
    (second,) = detector.estimate_poses(astronaut, timestamp=10.1)
    assert np.abs(second.xy - first.xy).max() > 0, "the second frame looks at the followed region"
    with pytest.raises(TimestampError, match="must increase"):
        detector.estimate_poses(astronaut, timestamp=10.1)
    detector.reset()
    (again,) = detector.estimate_poses(astronaut, timestamp=0.0)
    np.testing.assert_array_equal(again.xy, first.xy)


def test_a_frame_brings_its_own_time(detector, astronaut):
    frame = posemask.Frame(image=astronaut, time=3.0, index=0)
    detector.estimate_poses(frame)
    with pytest.raises(TimestampError):
        detector.estimate_poses(frame)
    detector.estimate_poses(frame, timestamp=4.0)


def test_none_forgets_the_stream(detector, astronaut):
    detector.estimate_poses(astronaut, timestamp=5.0)
    assert detector.estimate_poses(None) == []
    assert len(detector.estimate_poses(astronaut, timestamp=1.0)) == 1


def test_the_size_may_change_within_a_stream(detector, astronaut):
    detector.estimate_poses(astronaut, timestamp=0.0)
    half = np.ascontiguousarray(astronaut[::2, ::2])
    (pose,) = detector.estimate_poses(half, timestamp=0.1)
    (alone,) = detector.estimate_poses(half)
    np.testing.assert_array_equal(pose.xy, alone.xy)
    assert np.asarray(pose.segmentation.mask).shape == half.shape[:2]


def test_flip_horizontal_mirrors_everything(detector, astronaut):
    (plain,) = detector.estimate_poses(astronaut)
    (flipped,) = detector.estimate_poses(astronaut, flip_horizontal=True)
    width = astronaut.shape[1]
    np.testing.assert_allclose(flipped.xy[:, 0], width - 1 - plain.xy[:, 0], atol=1e-3)
    np.testing.assert_allclose(flipped.xy[:, 1], plain.xy[:, 1])
    np.testing.assert_allclose(flipped.world, plain.world * [-1, 1, 1])
    np.testing.assert_allclose(flipped.z, plain.z)
    mirrored = np.asarray(plain.segmentation.mask)[:, ::-1]
    np.testing.assert_allclose(np.asarray(flipped.segmentation.mask), mirrored, atol=1e-4)
    assert flipped.box[0] == pytest.approx(width - 1 - plain.box[2], abs=1e-3)


def test_bgr_is_said_and_never_guessed(detector, astronaut):
    (plain,) = detector.estimate_poses(astronaut)
    (swapped,) = detector.estimate_poses(astronaut[..., ::-1], bgr=True)
    np.testing.assert_array_equal(plain.xy, swapped.xy)


def test_a_mask_can_be_had_at_another_size(detector, astronaut):
    mask = detector.estimate_poses(astronaut)[0].segmentation.mask
    half = mask.at(256, 256)
    assert half.shape == (256, 256)
    full = np.asarray(mask)
    mean = full.reshape(256, 2, 256, 2).mean(axis=(1, 3))
    assert np.abs(half - mean).mean() < 0.005
    with pytest.raises(InputError, match="at least 1 x 1"):
        mask.at(0, 5)
    with pytest.raises(InputError, match="whole pixels"):
        mask.at(2.5, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "posenet"}, "model must be one of 'blazepose'"),
        ({"model_type": "huge"}, "model_type must be one of 'lite', 'full', 'heavy'"),
        ({"min_presence_confidence": 1.5}, "min_presence_confidence must be a number in"),
        ({"device": None}, "device must be"),
        ({"min_detection_confidence": "high"}, "min_detection_confidence must be a number in"),
        ({"runtime": "tfjs"}, "runtime"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(InputError, match=said):
        posemask.create_detector(**options)


@pytest.mark.parametrize("option", ["detector_model_url", "landmark_model_url"])
def test_another_network_is_refused(option):
    with pytest.raises(ModelFileError, match="the network is no BlazePose"):
        posemask.create_detector(**{option: posemask.weights.path("selfie_segmentation")})


@pytest.mark.parametrize("max_poses", [0, -1, 1.5, True, "2"])
def test_max_poses_must_be_a_positive_integer(detector, astronaut, max_poses):
    with pytest.raises(InputError, match="max_poses"):
        detector.estimate_poses(astronaut, max_poses=max_poses)


@pytest.mark.parametrize("max_poses", [np.int64(2), 10**9])
def test_max_poses_may_be_any_integer_type_and_large(detector, astronaut, max_poses):
    assert len(detector.estimate_poses(astronaut, max_poses=max_poses)) == 1


@pytest.mark.parametrize("timestamp", ["soon", float("nan"), float("inf"), 10**400])
def test_timestamps_must_be_finite_numbers(detector, astronaut, timestamp):
    with pytest.raises(InputError, match="timestamp"):
        detector.estimate_poses(astronaut, timestamp=timestamp)


def test_selfie_gives_exactly_one_mask(astronaut):
    with posemask.create_segmenter("selfie_segmentation", model_type="landscape") as segmenter:
        (segmentation,) = segmenter.segment_people(astronaut)
        mask = np.asarray(segmentation.mask)
        assert mask.shape == astronaut.shape[:2]
        assert mask[200, 220] > 0.9
        (flipped,) = segmenter.segment_people(astronaut, flip_horizontal=True)
        np.testing.assert_allclose(np.asarray(flipped.mask), mask[:, ::-1], atol=1e-4)
        (nobody,) = segmenter.segment_people(np.zeros((90, 160, 3), np.uint8))
        assert np.asarray(nobody.mask).max() < 0.5
        for option in ("multi_segmentation", "segment_body_parts"):
            with pytest.raises(InputError, match="one mask of all people"):
                segmenter.segment_people(astronaut, **{option: True})
        with pytest.raises(InputError, match="no option 'max_poses'; it takes none"):
            segmenter.segment_people(astronaut, max_poses=2)


def test_selfie_masks_can_be_smoothed_in_a_stream(astronaut):
    segmenter = posemask.create_segmenter(model_type="landscape", smooth_segmentation=True)
    moved = np.roll(astronaut, 40, axis=1)
    before = np.asarray(segmenter.segment_people(astronaut, timestamp=0.0)[0].mask)
    after = np.asarray(segmenter.segment_people(moved, timestamp=0.1)[0].mask)
    plain = np.asarray(segmenter.segment_people(moved)[0].mask)
    unsure = (np.abs(plain - 0.5) < 0.4) & (np.abs(before - plain) > 0.2)
    assert unsure.sum() > 10_000
    assert (np.abs(after - before) < np.abs(plain - before))[unsure].mean() > 0.99  # all, but for the resampling
    with pytest.raises(TimestampError):
        segmenter.segment_people(moved, timestamp=0.1)


@pytest.mark.parametrize("smooth", [False, True])
def test_mediapipe_is_a_runtime_like_the_others(astronaut, smooth):
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    options = {"model_type": "lite", "enable_segmentation": True, "enable_smoothing": smooth}
    ours, theirs = posemask.create_detector(**options), posemask.create_detector(**options, runtime="mediapipe")
    (pose,), (reference,) = ours.estimate_poses(astronaut), theirs.estimate_poses(astronaut)
    assert np.linalg.norm(pose.xy - reference.xy, axis=1).mean() < 0.3
    segmenter = posemask.create_segmenter(model_type="landscape", runtime="mediapipe")
    (people,) = segmenter.segment_people(astronaut, timestamp=1.0)
    assert np.asarray(people.mask).shape == astronaut.shape[:2]
    with pytest.raises(InputError, match="one mask of all people"):
        segmenter.segment_people(astronaut, timestamp=2.0, multi_segmentation=True)
    with pytest.raises(InputError, match="device"):
        posemask.create_detector(runtime="mediapipe", device="cuda")


def test_a_missing_gpu_is_said_and_nothing_falls_back():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    for create in (posemask.create_detector, posemask.create_segmenter):
        with pytest.raises(RuntimeUnavailableError, match=r"cuda|CUDA"):
            create(device="cuda")
    with pytest.raises(InputError, match="search"):
        posemask.create_detector(device="cuda", search="deep")
    for create in (posemask.create_detector, posemask.create_segmenter):
        with pytest.raises(InputError, match="threads=2"):
            create(device="cuda", threads=2)
    with pytest.raises(RuntimeUnavailableError, match="torch"):
        posemask.create_detector(device="cuda", runtime="litert")


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(astronaut):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    (expected,) = posemask.create_detector(enable_segmentation=True).estimate_poses(astronaut)
    detector = posemask.create_detector(enable_segmentation=True, device="cuda")
    (pose,) = detector.estimate_poses(astronaut)
    assert np.linalg.norm(pose.xy - expected.xy, axis=1).mean() < 0.2  # of a region of 1,000 pixels
    assert np.abs(np.asarray(pose.segmentation.mask) - np.asarray(expected.segmentation.mask)).mean() < 0.005
    (first,) = detector.estimate_poses(astronaut, timestamp=0.0)
    (second,) = detector.estimate_poses(astronaut, timestamp=0.1)
    seen = first.visibility > 0.5
    assert np.abs(second.xy - first.xy)[seen].mean() < 3
    assert first.id == second.id == 1
    (people,) = posemask.create_segmenter(device="cuda").segment_people(astronaut)
    (reference,) = posemask.create_segmenter().segment_people(astronaut)
    assert np.abs(np.asarray(people.mask) - np.asarray(reference.mask)).mean() < 0.005


@pytest.mark.gpu
def test_a_gpu_finds_whom_the_cpu_finds(shared_data):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    picture = posemask.read_image(shared_data / "groundtruth/coco8_pose/images/val/000000000110.jpg")
    expected, found = (
        posemask.create_detector(search="thorough", device=device).estimate_poses(picture, max_poses=10)
        for device in ("cpu", "cuda")
    )
    assert len(found) == len(expected) >= 2
    for pose in expected:
        apart = min(np.linalg.norm(pose.xy - other.xy, axis=1).mean() for other in found)
        assert apart < 0.01 * pose.roi[2]

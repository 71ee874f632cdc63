"""Several people with the real networks: pictures against MediaPipe with five poses, streams, masks, parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import posemask
from posemask.bodies import BLAZEPOSE, NO_PART
from posemask.errors import InputError
from posemask.models import blazepose, blazepose_stream, newcomers, pose_segments
from posemask.models.search import FACE_VIEWS
from posemask.numbers.tracking import Landmarks, smooth_landmarks

STANDING = "groundtruth/pennfudan/public/PNGImages/FudanPed00062.png"
FRIENDS = "groundtruth/tfjs_bodypix/three_people.jpg"
Read = Callable[[str], np.ndarray]


@pytest.fixture(scope="module")
def model() -> blazepose.BlazePose:
    return blazepose.load("full", segmentation=True, runtime="litert", threads=1)


@pytest.fixture(scope="module")
def thorough() -> blazepose.BlazePose:
    return blazepose.load("lite", search="thorough", runtime="litert", threads=2)


def same_person(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two sets of keypoints (33, 2) lie within a tenth of the person's size."""
    return bool(np.linalg.norm(a - b, axis=1).mean() < 0.1 * np.ptp(b, axis=0).max())


def test_everybody_whom_mediapipe_finds_is_found(model: Any, picture: Read, golden: Callable[[str], Any]) -> None:
    for name, case in golden("multi.json").items():
        poses = blazepose.estimate(model, picture(name), max_people=5)
        for expected in case["poses"]:
            target = np.array(expected["xyz"])[:, :2]
            assert any(same_person(pose.xy, target) for pose in poses), name
        if not case["poses"]:
            assert not poses, name


def test_thorough_search_finds_more_and_invents_nobody(thorough: Any, model: Any, picture: Read) -> None:
    name = "groundtruth/pennfudan/public/PNGImages/FudanPed00022.png"
    fast = blazepose.estimate(model, picture(name), max_people=10)
    more = blazepose.estimate(thorough, picture(name), max_people=10)
    assert len(more) > len(fast)
    for pose in fast:
        assert any(same_person(other.xy, pose.xy) for other in more)
    assert blazepose.estimate(thorough, picture("skimage:coffee"), max_people=10) == []


@pytest.mark.parametrize("name", [STANDING, FRIENDS])
def test_masks_do_not_overlap(model: Any, picture: Read, name: str) -> None:
    image = picture(name)
    poses = blazepose.estimate(model, image, max_people=5)
    assert len(poses) >= 2
    masks = np.stack([np.asarray(pose.segmentation.mask) > 0.5 for pose in poses if pose.segmentation])
    assert masks.sum(axis=0).max() == 1
    for pose, mask in zip(poses, masks, strict=True):
        x, y = pose.xy[BLAZEPOSE.index("nose")].round().astype(int)
        assert mask[y, x]
        assert np.count_nonzero(mask) > 0.02 * mask.size


def without_the_right_one(image: np.ndarray) -> np.ndarray:
    """The picture of two people standing, the second painted over with what is between them."""
    half = image.copy()
    half[:, 285:] = image[:, 285:286]
    return half


def moving(image: np.ndarray, frames: int, step: int) -> list[np.ndarray]:
    """The picture, walking to the right."""
    return [np.roll(image, step * i, axis=1) for i in range(frames)]


def test_ids_stay_with_people_of_a_stream(model: Any, picture: Read) -> None:
    state, last = None, {}
    for i, image in enumerate(moving(picture(STANDING), 6, 4)):
        state, poses = blazepose_stream.step(model, state, image, i / 10, max_people=3)
        assert len(poses) == 2
        places = {pose.id: float(pose.xy[:, 0].mean()) for pose in poses}
        if last:
            assert places.keys() == last.keys()
            assert all(0 < places[i] - last[i] < 12 for i in places)
        last = places
    assert sorted(last) == [1, 2]


def test_people_enter_and_leave_a_stream(model: Any, picture: Read) -> None:
    image = picture(STANDING)
    half = without_the_right_one(image)
    state, counts = None, []
    for i, frame in enumerate([half, half, image, image, half, half, half, image]):
        state, poses = blazepose_stream.step(model, state, frame, i / 10, max_people=2)
        counts.append((len(poses), sorted(pose.id for pose in poses)))  # type: ignore[type-var]
    assert counts[0] == counts[1] == counts[6] == (1, [1])  # the network may see who has left for one more frame
    assert counts[3] == (2, [1, 2])
    assert counts[7][0] == 2
    assert counts[7][1][0] == 1


def test_one_person_of_a_stream_is_filtered_apart_from_the_others(model: Any, picture: Read) -> None:
    """With and without a second person beside them, somebody's keypoints are the same."""
    image = picture(STANDING)
    half = without_the_right_one(image)
    together, alone = None, None
    for i in range(4):
        together, both = blazepose_stream.step(model, together, image, i / 10, max_people=2)
        alone, (one,) = blazepose_stream.step(model, alone, half, i / 10, max_people=2)
    assert min(np.abs(pose.xy - one.xy).mean() for pose in both) < 3


def test_streams_of_the_thorough_search_find_everybody_whom_mediapipe_finds(
    model: Any, thorough: Any, picture: Read, golden: Callable[[str], Any]
) -> None:
    """Also whom the fast search has by looking at the whole frame alone: in the very first frame."""
    faces = thorough.face_detectors
    searching = dataclasses.replace(model, search="thorough", segmentation=False, face_detectors=faces)
    for name, case in golden("multi.json").items():
        _, poses = blazepose_stream.step(searching, None, picture(name), 0.0, max_people=5)
        found = sum(any(same_person(pose.xy, np.array(p["xyz"])[:, :2]) for pose in poses) for p in case["poses"])
        # Here the detector's second region lies between two people, and the network settles on the other one.
        assert found == len(case["poses"]) - name.endswith("FudanPed00042.png"), name


def cut_out(shared_data: Path, name: str, person: int) -> tuple[np.ndarray, np.ndarray]:
    """A pedestrian and the mask that was drawn around them."""
    folder = shared_data / "groundtruth/pennfudan/public"
    image = posemask.read_image(folder / f"PNGImages/{name}.png")
    mask = np.asarray(Image.open(folder / f"PedMasks/{name}_mask.png")) == person
    rows, columns = np.nonzero(mask)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return image[box], mask[box]


@pytest.mark.parametrize(("in_front", "tracker"), [(0, "box"), (1, "keypoint")])
def test_people_who_cross_keep_their_ids(
    model: Any, thorough: Any, shared_data: Path, in_front: int, tracker: Any
) -> None:
    """Two men in shirts walk past each other, one hiding the other for a while; each ends with the id he had."""
    ground = posemask.read_image(shared_data / "images/backgrounds/porch-691330_1280.jpg")[300:680, :800]
    men = [cut_out(shared_data, "FudanPed00026", 2), cut_out(shared_data, "FudanPed00026", 1)]
    options = {"segmentation": False, "search": "thorough", "face_detectors": thorough.face_detectors}
    follower = dataclasses.replace(model, tracker=tracker, **options)
    frames, state, ids = 45, None, []
    for i in range(frames):
        frame, centres = ground.copy(), [130 + 12 * i, 670 - 12 * i]
        for man in (1 - in_front, in_front):
            image, mask = men[man]
            left, top = centres[man] - mask.shape[1] // 2, 360 - mask.shape[0]
            place = frame[top : top + mask.shape[0], left : left + mask.shape[1]]
            place[mask] = image[mask]
        state, poses = blazepose_stream.step(follower, state, frame, i / 15, max_people=3)
        if 5 <= i < 10 or i >= frames - 5:
            assert len(poses) == 2
            ids.append([min(poses, key=lambda pose: abs(pose.xy[:, 0].mean() - x)).id for x in centres])
    assert sorted(ids[0]) == [1, 2]
    assert all(pair == ids[0] for pair in ids)


@given(st.permutations(range(4)), st.integers(1, 4), st.integers(0, 4))
def test_filters_go_with_their_people(order: list[int], staying: int, new: int) -> None:
    """Whoever stays has after a frame what the filters of this person alone give; whoever is new starts afresh."""
    rng = np.random.default_rng(staying)
    seen = np.array([*sorted(order[:staying]), *range(4, 4 + new)])

    def landmarks(people: int) -> Landmarks:
        points = rng.normal(size=(people, 33, 3)), rng.normal(size=(people, 2, 2)), rng.normal(size=(people, 33, 3))
        return Landmarks(*points, *rng.random((2, people, 33)), *rng.random((2, people)), rng.random((people, 4)))

    def rows(values: Landmarks, which: Any) -> Landmarks:
        return Landmarks(*(getattr(values, name)[which] for name in Landmarks.__dataclass_fields__))

    before, now = landmarks(4), landmarks(len(seen))
    state, _ = smooth_landmarks(None, before, 0.1)
    carried, restart = blazepose_stream._carry(state, seen, 4)
    _, together = smooth_landmarks(carried, now, 0.1, restart=restart)
    for row, person in enumerate(seen):
        alone = smooth_landmarks(None, rows(before, [person]), 0.1)[0] if person < 4 else None
        _, expected = smooth_landmarks(alone, rows(now, [row]), 0.1)
        for name in ("xyz", "auxiliary_xy", "world", "visibility"):
            np.testing.assert_allclose(getattr(together, name)[row], getattr(expected, name)[0], err_msg=name)


def test_rolling_search_is_bounded_and_finds_people(thorough: Any, picture: Read) -> None:
    image = picture("groundtruth/pennfudan/public/PNGImages/FudanPed00022.png")
    looks, at_faces = [], []

    def counted(network: Any, calls: list[int]) -> Any:
        def run(tensor: Any) -> Any:
            calls.append(1)
            return network(tensor)

        return run

    model = dataclasses.replace(
        thorough,
        detector=counted(thorough.detector, looks),
        face_detectors=tuple(counted(network, at_faces) for network in thorough.face_detectors),
    )
    state, most, most_at_faces, seen = None, 0, 0, 0
    for i in range(45):
        looks.clear()
        at_faces.clear()
        state, poses = blazepose_stream.step(model, state, image, i / 10, max_people=6)
        most, most_at_faces, seen = max(most, len(looks)), max(most_at_faces, len(at_faces)), max(seen, len(poses))
    assert most <= 1 + newcomers.ROLLING_VIEWS
    assert most_at_faces <= 2 * (newcomers.ROLLING_VIEWS + newcomers.ROLLING_CANDIDATES * len(FACE_VIEWS))
    assert seen > len(blazepose.estimate(blazepose.load("lite", runtime="litert"), image, max_people=6))


def test_options_are_checked() -> None:
    for options in ({"search": "deep"}, {"tracker": "face"}):
        with pytest.raises(InputError, match=next(iter(options))):
            blazepose.load("full", **options)  # type: ignore[arg-type]


# --- BlazePose as a segmenter --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter() -> posemask.Segmenter:
    return posemask.create_segmenter("blazepose", max_poses=3, runtime="litert", threads=1)


def test_people_and_parts(segmenter: posemask.Segmenter, picture: Read) -> None:
    people = segmenter.segment_people(picture(FRIENDS), multi_segmentation=True, segment_body_parts=True)
    assert len(people) == 3
    for person in people:
        assert person.part_labels is not None
        assert person.pose is not None
        np.testing.assert_array_equal(person.part_labels != NO_PART, np.asarray(person.mask) > 0.5)
        for side in ("left", "right"):
            x, y = person.pose.xy[BLAZEPOSE.index(f"{side}_ear")].round().astype(int)
            if 0 <= y < person.part_labels.shape[0] and person.part_labels[y, x] != NO_PART:
                assert person.label_of(person.part_labels[y, x]) == f"{side}_face"
    (everybody,) = segmenter.segment_people(picture(FRIENDS), segment_body_parts=True)
    together = np.minimum.reduce([person.part_labels for person in people])
    np.testing.assert_array_equal(everybody.part_labels, together)
    for result in (*people, everybody):
        for array in (result.part_labels, result.mask.probabilities, result.mask.image_from_crop):
            assert not array.flags.writeable


def test_parts_of_the_mirrored_picture(segmenter: posemask.Segmenter, picture: Read) -> None:
    image = picture("groundtruth/tfjs_pose/pose.jpg")
    (straight,) = segmenter.segment_people(image, segment_body_parts=True)
    (mirrored,) = segmenter.segment_people(image, segment_body_parts=True, flip_horizontal=True)
    assert straight.part_labels is not None
    assert np.mean(straight.part_labels[:, ::-1] == mirrored.part_labels) > 0.999


def test_without_parts_and_without_people(segmenter: posemask.Segmenter, picture: Read) -> None:
    (person,) = segmenter.segment_people(picture("groundtruth/tfjs_pose/pose.jpg"))
    assert person.part_labels is None
    assert segmenter.segment_people(picture("skimage:coffee"), segment_body_parts=True) == []


def test_hands_of_the_annotated_picture_have_their_sides(segmenter: posemask.Segmenter, shared_data: Path) -> None:
    """Left and right as another model saw them (LIP: 14 left arm, 15 right arm; only hands are visible as arms)."""
    from PIL import Image

    folder = shared_data / "groundtruth/schp_single"
    lip = np.asarray(Image.open(folder / "demo_lip.png"))
    (person,) = segmenter.segment_people(folder / "demo.jpg", segment_body_parts=True)
    labels = person.part_labels
    assert labels is not None
    for value, side in ((14, "left"), (15, "right")):
        inside = labels[(lip == value) & (labels != NO_PART)]
        sides = [person.label_of(int(part)).split("_")[0] for part in inside]
        assert np.mean(np.array(sides) == side) > 0.8


def test_labels_of_a_stream_are_steady(model: Any, shared_data: Path) -> None:
    """Of the pixels that are the person's in two frames running, few change their part."""
    state, last, shares = None, None, []
    with posemask.read_video(shared_data / "groundtruth/tfjs_pose/pose_1.mp4") as video:
        for frame in video:
            if frame.index >= 15:
                break
            state, (pose,) = blazepose_stream.step(model, state, frame.image, frame.time)
            labels = pose_segments.part_labels(pose)
            if last is not None:
                both = (labels != NO_PART) & (last != NO_PART)
                shares.append(np.mean(labels[both] != last[both]))
            last = labels
    assert np.mean(shares) < 0.06


@pytest.mark.parametrize("options", [{"max_poses": 0}, {"model_url": "x.tflite"}, {"architecture": "ResNet50"}])
def test_options_of_the_segmenter(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        posemask.create_segmenter("blazepose", **options)

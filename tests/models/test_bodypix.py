"""BodyPix against TensorFlow.js on the same weights, and its options."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from posemask.bodies import COCO, NO_PART, PART_COLORS
from posemask.errors import InputError, ModelFileError, RuntimeUnavailableError, TimestampError
from posemask.models import bodypix
from posemask.networks.read_tfjs import read_tfjs
from posemask.runtimes import RUNTIMES

GOLDEN = ["groundtruth/tfjs_bodypix/three_people.jpg", "groundtruth/tfjs_pose/pose.jpg",
          "groundtruth/ccp/public/photos/0008.jpg", "groundtruth/pennfudan/public/PNGImages/FudanPed00062.png",
          "groundtruth/tf_examples_pose/image1.png", "skimage:astronaut",
          "images/backgrounds/porch-691330_1280.jpg"]  # fmt: skip
WEIGHTS = "weights/bodypix_mobilenet_v1_075_quant2_stride16_tfjs/model-stride16.json"


def picture(shared_data: Path, name: str) -> np.ndarray:
    if name == "skimage:astronaut":
        return pytest.importorskip("skimage.data").astronaut()
    return np.asarray(Image.open(shared_data / name).convert("RGB"))


@pytest.fixture(scope="module")
def model(shared_data: Path) -> bodypix.BodyPix:
    return bodypix.load(quant_bytes=2, model_url=shared_data / WEIGHTS, threads=1)


@pytest.fixture(scope="module")
def three_people(shared_data: Path) -> np.ndarray:
    return picture(shared_data, GOLDEN[0])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def union_labels(people: list[Any]) -> np.ndarray:
    return np.minimum.reduce([person.part_labels for person in people])


# --- TensorFlow.js on the same weights -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_equals_tensorflow_js(shared_data: Path, model: bodypix.BodyPix, name: str) -> None:
    golden = json.loads((shared_data / "golden/bodypix.json").read_text())[name]
    expected = np.asarray(Image.open(shared_data / "golden" / golden["masks"]["bodypix_parts"]))
    image = picture(shared_data, name)
    (everybody,) = bodypix.estimate(model, image, segment_body_parts=True)
    labels = everybody.part_labels
    assert labels is not None
    np.testing.assert_array_equal(labels != NO_PART, np.asarray(everybody.mask) > 0.5)
    assert iou(labels != NO_PART, expected != NO_PART) >= 0.995
    assert np.mean(labels == expected) >= 0.996
    assert len(bodypix.estimate(model, image, multi_segmentation=True)) == golden["people"]


def test_people_equal_tensorflow_js(shared_data: Path, model: bodypix.BodyPix) -> None:
    """TensorFlow.js's CPU back end assigns pixels by 5 keypoints and nearest offsets, so this is a looser bound."""
    name = GOLDEN[3]
    expected = np.asarray(
        Image.open(shared_data / "golden/masks/pennfudan__public__PNGImages__FudanPed00062.bodypix_people.png")
    )
    people = bodypix.estimate(model, picture(shared_data, name), multi_segmentation=True)
    matrix = [[iou(np.asarray(person.mask) > 0.5, expected == k) for k in (1, 2)] for person in people]
    assert min(np.max(matrix, axis=1)) >= 0.98


def test_published_pictures(shared_data: Path, model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    """TensorFlow.js's own pictures were made with 32-bit weights; its 16-bit ones reach IoU 0.995 and 98.5 %."""
    folder = shared_data / "groundtruth/tfjs_bodypix"
    (everybody,) = bodypix.estimate(model, three_people, segment_body_parts=True)
    labels = everybody.part_labels
    assert labels is not None
    binary = np.asarray(Image.open(folder / "three_people_binary_segmentation.png").convert("RGBA"))
    assert iou(labels != NO_PART, binary[..., 3] > 127) >= 0.99
    colored = np.asarray(Image.open(folder / "three_people_colored_segmentation.png").convert("RGBA"))
    expected = np.where(colored[..., 3] > 127, colored[..., 0], NO_PART)
    assert np.mean(labels == expected) >= 0.98


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_gives_the_same(shared_data: Path, model: bodypix.BodyPix, runtime: Any) -> None:
    image = picture(shared_data, GOLDEN[3])
    try:
        other = bodypix.load(quant_bytes=2, model_url=shared_data / WEIGHTS, runtime=runtime, threads=1)
        other.network_at((161, 193))
    except RuntimeUnavailableError as error:
        pytest.skip(str(error))
    options = {"segment_body_parts": True, "multi_segmentation": True}
    ours, theirs = (bodypix.estimate(m, image, **options) for m in (model, other))
    assert len(ours) == len(theirs) == 2
    for a, b in zip(ours, theirs, strict=True):
        assert a.pose is not None
        assert b.pose is not None
        assert np.mean(a.part_labels == b.part_labels) >= 0.999
        np.testing.assert_allclose(a.pose.xy, b.pose.xy, atol=0.1)


# --- people --------------------------------------------------------------------------------------------------------


def test_people_do_not_overlap_and_make_up_everybody(model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    people = bodypix.estimate(model, three_people, multi_segmentation=True, segment_body_parts=True)
    (everybody,) = bodypix.estimate(model, three_people, segment_body_parts=True)
    masks = np.stack([np.asarray(person.mask) > 0.5 for person in people])
    assert masks.sum(axis=0).max() == 1
    assert iou(masks.any(axis=0), np.asarray(everybody.mask) > 0.5) >= 0.995
    assert np.mean(union_labels(people) == everybody.part_labels) >= 0.995


def test_each_person_has_the_pose_that_lies_in_the_mask(model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    for person in bodypix.estimate(model, three_people, multi_segmentation=True):
        assert person.pose is not None
        assert person.pose.skeleton is COCO
        nose, mask = person.pose["nose"], np.asarray(person.mask)
        assert mask[round(nose.y), round(nose.x)] > 0.5
        assert person.pose["left_eye"].x > person.pose["right_eye"].x


def test_poses_alone(model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    poses = bodypix.estimate_poses(model, three_people)
    assert len(poses) == 3
    assert len(bodypix.estimate_poses(model, three_people, max_people=2)) == 2
    people = bodypix.estimate(model, three_people, multi_segmentation=True)
    for pose, person in zip(poses, people, strict=True):
        assert person.pose is not None
        np.testing.assert_array_equal(pose.xy, person.pose.xy)


def test_flip_gives_the_mirrored_results(model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    options = {"multi_segmentation": True, "segment_body_parts": True}
    straight = bodypix.estimate(model, three_people, **options)
    mirrored = bodypix.estimate(model, three_people, flip_horizontal=True, **options)
    for a, b in zip(straight, mirrored, strict=True):
        assert a.pose is not None
        assert b.pose is not None
        assert a.part_labels is not None
        np.testing.assert_array_equal(a.part_labels[:, ::-1], b.part_labels)
        np.testing.assert_allclose(np.asarray(a.mask)[:, ::-1], np.asarray(b.mask), atol=1e-5)
        np.testing.assert_allclose(a.pose.xy, b.pose.xy * [-1, 1] + [three_people.shape[1] - 1, 0], atol=1e-3)


# --- options -------------------------------------------------------------------------------------------------------


def test_segmentation_threshold_moves_the_edge(model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    areas = []
    for threshold in (0, 0.3, 0.7, 0.95, 1):
        (everybody,) = bodypix.estimate(model, three_people, segmentation_threshold=threshold)
        areas.append(np.count_nonzero(np.asarray(everybody.mask) > 0.5))
    assert areas[0] == three_people.shape[0] * three_people.shape[1]
    assert areas[-1] == 0
    assert all(a > b for a, b in itertools.pairwise(areas))


def test_internal_resolution(model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    (medium,) = bodypix.estimate(model, three_people)
    for resolution in ("low", "high", 0.5):
        (other,) = bodypix.estimate(model, three_people, internal_resolution=resolution)  # type: ignore[arg-type]
        assert iou(np.asarray(medium.mask) > 0.5, np.asarray(other.mask) > 0.5) >= 0.92


@pytest.mark.parametrize(
    "options",
    [{"internal_resolution": "huge"}, {"internal_resolution": 0.05}, {"internal_resolution": 2.1},
     {"internal_resolution": None}, {"segmentation_threshold": -0.1}, {"segmentation_threshold": 1.1},
     {"segmentation_threshold": float("nan")}, {"max_detections": 0}, {"max_detections": 1.5},
     {"score_threshold": 2}, {"nms_radius": 0}, {"nms_radius": -1}, {"min_keypoint_score": "x"},
     {"refine_steps": 0}, {"refine_steps": 21}, {"refine_steps": True}],
)  # fmt: skip
def test_options_out_of_range(model: bodypix.BodyPix, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        bodypix.estimate(model, np.zeros((64, 64, 3), np.uint8), **options)


@pytest.mark.parametrize(
    "options",
    [{"architecture": "EfficientNet"}, {"output_stride": 4}, {"multiplier": 0.6}, {"quant_bytes": 3},
     {"architecture": "ResNet50", "output_stride": 8}, {"architecture": "ResNet50", "multiplier": 0.5}],
)  # fmt: skip
def test_networks_that_do_not_exist(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        bodypix.BodyPixSpec(**options)


def test_names_of_the_weights() -> None:
    from posemask.weights import CATALOGUE

    names = {
        bodypix.BodyPixSpec(architecture, stride, multiplier, quant_bytes).weights
        for architecture in bodypix.STRIDES
        for stride in bodypix.STRIDES[architecture]
        for multiplier in bodypix.MULTIPLIERS[architecture]
        for quant_bytes in bodypix.PRECISIONS
    }
    assert names == {name for name in CATALOGUE if name.startswith("bodypix_")}
    assert bodypix.BodyPixSpec().weights == "bodypix_mobilenet_v1_075_float_stride16"


def test_another_network_or_stride_is_refused(shared_data: Path) -> None:
    with pytest.raises(ModelFileError, match="no BodyPix"):
        bodypix.prepare(read_tfjs(shared_data / "weights/selfie_segmentation/selfie.json"), bodypix.BodyPixSpec())
    with pytest.raises(ModelFileError, match="output stride"):
        bodypix.prepare(read_tfjs(shared_data / WEIGHTS), bodypix.BodyPixSpec(output_stride=8))


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 40), (17, 200), (33, 33)])
def test_small_and_narrow_pictures(model: bodypix.BodyPix, size_hw: tuple[int, int]) -> None:
    image = np.full((*size_hw, 3), 127, np.uint8)
    (everybody,) = bodypix.estimate(model, image, segment_body_parts=True)
    assert np.asarray(everybody.mask).shape == size_hw
    assert everybody.part_labels is not None
    assert everybody.part_labels.shape == size_hw
    assert bodypix.estimate(model, image, multi_segmentation=True) == []


def test_stream_has_no_memory_but_its_time(model: bodypix.BodyPix, shared_data: Path) -> None:
    image = picture(shared_data, GOLDEN[3])
    state, (first,) = bodypix.step(model, None, image, 0.0)
    state, (second,) = bodypix.step(model, state, image, 0.1)
    np.testing.assert_array_equal(first.mask.probabilities, second.mask.probabilities)
    with pytest.raises(TimestampError):
        bodypix.step(model, state, image, 0.1)


def test_results_are_read_only(model: bodypix.BodyPix, three_people: np.ndarray) -> None:
    (everybody,) = bodypix.estimate(model, three_people, segment_body_parts=True)
    assert everybody.part_labels is not None
    assert everybody.pose is not None
    mask = everybody.mask
    for array in (everybody.part_labels, mask.probabilities, mask.image_from_crop, everybody.pose.xy):
        assert not array.flags.writeable
    assert everybody.label_of(0) == "left_face"
    assert len(PART_COLORS) == NO_PART

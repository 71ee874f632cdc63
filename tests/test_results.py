"""The values that the models give."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from posemask import errors
from posemask.bodies import BLAZEPOSE, COCO, COCO_FROM_BLAZEPOSE, PART_COLORS, PARTS, POSENET_TREE, skeleton_of
from posemask.errors import InputError
from posemask.pixels import native
from posemask.results import Mask, Pose, Segmentation


def square_mask(**changes) -> Mask:
    probabilities = np.zeros((4, 4), np.float32)
    probabilities[1:3, 1:3] = 1
    fields = {
        "probabilities": probabilities,
        "image_from_crop": np.array([[1.0, 0, 2], [0, 1, 3]]),
        "size_hw": (10, 12),
        "paste": native.paste,
    }
    return Mask(**(fields | changes))


def test_a_mask_becomes_pixels_where_its_crop_lies():
    pixels = np.asarray(square_mask())
    assert pixels.shape == (10, 12)
    assert pixels.dtype == np.float32
    expected = np.zeros((10, 12))
    expected[4:6, 3:5] = 1
    np.testing.assert_allclose(pixels, expected, atol=1e-6)
    assert np.asarray(square_mask(), dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        np.array(square_mask(), copy=False)


def test_a_mask_at_its_own_size_is_the_same_mask():
    np.testing.assert_allclose(square_mask().at(10, 12), np.asarray(square_mask()), atol=1e-6)


def test_a_mask_at_twice_its_size_covers_the_same_area():
    large = square_mask().at(20, 24)
    assert large.shape == (20, 24)
    assert large.sum() == pytest.approx(4 * np.asarray(square_mask()).sum(), rel=0.05)
    rows, columns = np.nonzero(large > 0.5)
    np.testing.assert_allclose([rows.mean(), columns.mean()], [9.5, 7.5], atol=0.51)


def test_labels_of_values():
    person = Segmentation(mask=square_mask())
    assert person.label_of(0) == person.label_of(255) == "person"
    parts = Segmentation(mask=square_mask(), part_labels=np.full((10, 12), 24, np.uint8))
    assert parts.label_of(0) == "left_face"
    assert parts.label_of(np.uint8(23)) == "right_feet"
    for value in (-1, 256, 1.5, True, "1"):
        with pytest.raises(InputError, match="integer in"):
            person.label_of(value)
    with pytest.raises(InputError, match="body part"):
        parts.label_of(24)


def test_a_pose_is_asked_by_name():
    pose = Pose(
        xy=np.arange(66, dtype=np.float32).reshape(33, 2),
        z=np.zeros(33, np.float32),
        visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32),
        world=None,
        score=1.0,
        box=np.zeros(4, np.float32),
    )
    assert (pose["left_wrist"].x, pose["left_wrist"].y) == (30, 31)
    assert len(pose) == len(list(pose)) == 33
    with pytest.raises(InputError, match="unknown keypoint 'left_arm'"):
        pose["left_arm"]


def test_the_tables_fit_together():
    assert len(BLAZEPOSE) == 33
    assert len(COCO) == 17
    assert len(BLAZEPOSE.edges) == len(set(BLAZEPOSE.edges)) == 35
    assert len(COCO.edges) == len(POSENET_TREE) == 16
    assert len(PARTS) == len(PART_COLORS) == 24
    for skeleton in (BLAZEPOSE, COCO):
        assert skeleton.middle == (0,)
        assert sorted(skeleton.left + skeleton.right + skeleton.middle) == list(range(len(skeleton)))
        names = [skeleton.names[i].replace("left", "") for i in skeleton.left]
        assert names == [skeleton.names[i].replace("right", "") for i in skeleton.right]
        assert all(0 <= a < len(skeleton) and 0 <= b < len(skeleton) for a, b in skeleton.edges)
    assert [BLAZEPOSE.names[i] for i in COCO_FROM_BLAZEPOSE] == list(COCO.names)
    assert skeleton_of("BlazePose") is BLAZEPOSE
    assert skeleton_of("bodypix") is COCO
    with pytest.raises(InputError, match="unknown model 'hands'"):
        skeleton_of("hands")


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_cross_from_worker_processes(name):
    kind = getattr(errors, name)
    error = kind(1.0, 2.0) if kind is errors.TimestampError else kind("what happened")
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is kind
    assert str(copied) == str(error)

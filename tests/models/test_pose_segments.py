"""The parts of real people's bodies: where the mask is, with the picture's turns, from behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posemask
from posemask.bodies import NO_PART, PARTS

YOGA, STRIDE = "images/yoga.jpg", "groundtruth/tfjs_pose/pose.jpg"
FROM_BEHIND = "groundtruth/pennfudan/public/PNGImages/FudanPed00026.png"
SIDES = np.array([1 if part.startswith("left") else 2 if part.startswith("right") else 0 for part in (*PARTS, "")])


@pytest.fixture(scope="module")
def label() -> Callable[[Any], posemask.Segmentation]:
    segmenter = posemask.create_segmenter("blazepose", threads=1)

    def run(image: Any) -> posemask.Segmentation:
        (person,) = segmenter.segment_people(image, multi_segmentation=True, segment_body_parts=True)
        return person

    return run


def test_every_pixel_of_the_mask_and_no_other_has_a_part(label: Any, shared_data: Path) -> None:
    person = label(shared_data / YOGA)
    assert person.part_labels.dtype == np.uint8
    np.testing.assert_array_equal(person.part_labels != NO_PART, np.asarray(person.mask) > 0.5)


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("name", [YOGA, STRIDE])
def test_labels_turn_with_the_picture(label: Any, shared_data: Path, name: str, quarters: int) -> None:
    image = posemask.read_image(shared_data / name)
    upright = label(image).part_labels
    turned = np.rot90(label(np.ascontiguousarray(np.rot90(image, quarters))).part_labels, -quarters)
    both = (upright != NO_PART) & (turned != NO_PART)
    assert np.count_nonzero(both) > 0.9 * np.count_nonzero(upright != NO_PART)
    assert np.mean(upright[both] == turned[both]) > 0.85
    sided = both & (SIDES[upright] > 0) & (SIDES[turned] > 0)
    assert np.mean(SIDES[upright[sided]] == SIDES[turned[sided]]) > 0.95


def test_who_is_seen_from_behind_shows_the_back(label: Any, shared_data: Path) -> None:
    """And has the left hand on the left of the picture."""
    labels = label(shared_data / FROM_BEHIND).part_labels

    def area(name: str) -> int:
        return np.count_nonzero(labels == PARTS.index(name))

    assert area("torso_back") > 10 * area("torso_front")
    assert area("left_upper_leg_back") > 10 * area("left_upper_leg_front")
    left, right = (np.nonzero(labels == PARTS.index(f"{side}_lower_leg_back"))[1].mean() for side in ("left", "right"))
    assert left < right

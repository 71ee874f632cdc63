"""Coloured and blurred parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posemask.bodies import NO_PART, PART_COLORS
from posemask.effects import blur_parts, draw_mask, draw_parts, to_colored_mask
from posemask.errors import InputError

from .segmentations import from_parts, from_probabilities


@given(hnp.arrays(np.uint8, (5, 7), elements=st.sampled_from([0, 3, 23, NO_PART])), st.sampled_from([0.0, 0.4, 1.0]))
def test_parts_are_a_colored_mask_on_the_picture(labels: np.ndarray, opacity: float) -> None:
    image = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    image.flags.writeable = False
    mask = to_colored_mask(from_parts(labels), background=(0, 0, 0, 0))
    expected = draw_mask(image, mask, mask_opacity=opacity)
    np.testing.assert_array_equal(draw_parts(image, from_parts(labels), opacity=opacity), expected)


def test_of_two_people_the_last_lies_uppermost() -> None:
    image = np.zeros((1, 3, 3), np.uint8)
    first, last = from_parts([[1, 1, NO_PART]]), from_parts([[NO_PART, 2, 2]])
    picture = draw_parts(image, [first, last], opacity=1)
    assert picture[0].tolist() == [list(PART_COLORS[1]), list(PART_COLORS[2]), list(PART_COLORS[2])]


def test_colours_may_be_chosen_and_faint() -> None:
    picture = draw_parts(
        np.zeros((1, 2, 3), np.uint8), from_parts([[0, 9]]), part_to_color=lambda part: (250, part, 0, 128)
    )
    assert picture[0, 0].tolist() == [81, 0, 0], "250 * 0.65 * 128 / 255"
    assert picture[0, 1].tolist() == [81, 3, 0]


def test_nobody_changes_nothing() -> None:
    image = np.full((4, 4, 3), 9, np.uint8)
    for people in ([], from_parts(np.full((4, 4), NO_PART))):
        for picture in (draw_parts(image, people), blur_parts(image, people, [0, 1])):
            np.testing.assert_array_equal(picture, image)
            assert not np.shares_memory(picture, image)


def test_a_segmentation_without_parts_is_refused() -> None:
    with pytest.raises(InputError, match="segment_body_parts=True"):
        draw_parts(np.zeros((1, 1, 3), np.uint8), from_probabilities([[1.0]]))
    with pytest.raises(InputError, match="segment_body_parts=True"):
        blur_parts(np.zeros((1, 1, 3), np.uint8), from_probabilities([[1.0]]), [0])


def face(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of stripes, and labels with a square face in its middle and a torso below."""
    stripes = (np.arange(size) * 8 // size % 2 * 255).astype(np.uint8)
    labels = np.full((size, size), NO_PART, np.uint8)
    labels[size // 4 : size // 2, size // 4 : 3 * size // 4] = 1
    labels[size // 2 :, size // 4 : 3 * size // 4] = 12
    return np.repeat(np.broadcast_to(stripes, (size, size))[..., None], 3, axis=2), labels


@pytest.mark.parametrize("size", [64, 640])
def test_a_face_is_blurred_as_much_as_its_size_asks_for(size: int) -> None:
    image, labels = face(size)
    image.flags.writeable = False
    picture = blur_parts(image, from_parts(labels), [0, 1])
    middle = picture[3 * size // 8, 3 * size // 8 : 5 * size // 8].astype(int)
    assert np.ptp(image[3 * size // 8, 3 * size // 8 : 5 * size // 8]) == 255
    assert np.ptp(middle) < 90
    np.testing.assert_array_equal(picture[5 * size // 8 :], image[5 * size // 8 :])
    weaker = blur_parts(image, from_parts(labels), [0, 1], strength=2)
    assert np.ptp(weaker[3 * size // 8, 3 * size // 8 : 5 * size // 8].astype(int)) > np.ptp(middle)


def test_a_large_face_is_blurred_as_much_as_a_small_one_whatever_the_strength() -> None:
    """Also by more than a blur of the whole picture can be."""
    middles = []
    for size in (64, 1280):
        ramp = np.repeat(np.linspace(0, 255, size).astype(np.uint8)[:, None], 3, axis=1)
        image = np.ascontiguousarray(np.broadcast_to(ramp, (size, size, 3)))
        picture = blur_parts(image, from_parts(face(size)[1]), [0, 1], strength=100)
        middles.append(picture[3 * size // 8, size // 4 : 3 * size // 4 : size // 64, 0].astype(int))
    assert np.ptp(middles[0]) < 90
    assert np.abs(middles[0] - middles[1]).max() <= 3


def test_nothing_of_a_blurred_part_is_seen_through() -> None:
    """Thin parts and corners, too: what was in a hidden pixel matters as little as what was in its neighbours."""
    labels = np.full((40, 40), NO_PART, np.uint8)
    labels[20, 5:35] = 1
    black, white = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)
    white[20, 20] = 255
    picture = blur_parts(white, from_parts(labels), [1]).astype(int) - blur_parts(black, from_parts(labels), [1])
    assert picture[20, 20].max() <= picture[20, 19:22].max() < 140


@pytest.mark.parametrize(
    "options", [{"parts": [24]}, {"parts": [-1]}, {"parts": ["face"]}, {"parts": [0], "strength": 0}]
)
def test_wrong_blurs_are_refused(options: dict) -> None:
    with pytest.raises(InputError):
        blur_parts(np.zeros((4, 4, 3), np.uint8), from_parts(np.zeros((4, 4))), **options)

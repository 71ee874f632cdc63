"""Coloured parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posemask.bodies import NO_PART, PART_COLORS
from posemask.effects import draw_mask, draw_parts, to_colored_mask
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
        picture = draw_parts(image, people)
        np.testing.assert_array_equal(picture, image)
        assert not np.shares_memory(picture, image)


def test_a_segmentation_without_parts_is_refused() -> None:
    with pytest.raises(InputError, match="segment_body_parts=True"):
        draw_parts(np.zeros((1, 1, 3), np.uint8), from_probabilities([[1.0]]))

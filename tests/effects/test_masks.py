"""Mask pictures: equal to the published ones, to a plain walk over the pixels, and to the documented errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from posemask.bodies import NO_PART, PART_COLORS
from posemask.effects import bodypix_mask_value_to_rainbow_color, to_binary_mask, to_colored_mask
from posemask.effects.masks import planes
from posemask.errors import InputError

from .segmentations import from_parts, from_probabilities

WHITE, BLACK, CYAN = (255, 255, 255, 255), (0, 0, 0, 255), (0, 255, 255, 255)


def published(shared_data: Path, name: str) -> np.ndarray:
    with Image.open(shared_data / "groundtruth/tfjs_bodypix" / f"three_people_{name}.png") as picture:
        return np.asarray(picture.convert("RGBA"))


# The published masks are made of whole values only, so nothing is rounded anywhere: the tolerance is zero.
def test_binary_mask_equals_the_published_one(shared_data: Path) -> None:
    people = from_probabilities(published(shared_data, "binary_segmentation")[..., 3] / 255)
    mask = to_binary_mask(people, foreground=WHITE, background=BLACK)
    np.testing.assert_array_equal(mask, published(shared_data, "binary_mask"))


def test_colored_mask_equals_the_published_one(shared_data: Path) -> None:
    segmentation = published(shared_data, "colored_segmentation")
    parts = from_parts(np.where(segmentation[..., 3] > 0, segmentation[..., 0], NO_PART))
    mask = to_colored_mask([parts], bodypix_mask_value_to_rainbow_color, background=WHITE)
    np.testing.assert_array_equal(mask, published(shared_data, "colored_mask"))


def walk(
    masks: Sequence[tuple[np.ndarray, np.ndarray]], threshold: float, values: Sequence[int], contour: bool
) -> np.ndarray:
    """The same picture by the definition: one pixel after the other, each later one may paint over earlier ones."""
    height, width = masks[0][0].shape
    cutoff = int(np.floor(255 * threshold + 0.5))
    picture = np.zeros((height, width, 4), dtype=np.uint8)
    diagonal = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    for y in range(height):
        for x in range(width):
            picture[y, x] = BLACK
            for value, alpha in masks:

                def inside(row: int, column: int, value: np.ndarray = value, alpha: np.ndarray = alpha) -> bool:
                    return int(value[row, column]) in values and alpha[row, column] >= cutoff

                if not inside(y, x):
                    continue
                picture[y, x] = WHITE
                within = 0 < y < height - 1 and 0 < x < width - 1
                if contour and within and not all(inside(y + dy, x + dx) for dy, dx in diagonal):
                    for dy, dx in diagonal:
                        picture[y + dy, x + dx] = CYAN
    return picture


def planes_of(*values: int) -> st.SearchStrategy[list[np.ndarray]]:
    """One or two small planes of one size."""
    sizes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)
    plane = st.sampled_from(values)
    return sizes.flatmap(lambda hw: st.lists(hnp.arrays(np.uint8, hw, elements=plane), min_size=1, max_size=2))


@given(planes_of(0, 127, 128, 255), st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_binary_mask_equals_a_walk_over_the_pixels(alphas: list[np.ndarray], threshold: float, contour: bool) -> None:
    people = [from_probabilities(alpha / 255) for alpha in alphas]
    mask = to_binary_mask(people, foreground=WHITE, draw_contour=contour, foreground_threshold=threshold)
    np.testing.assert_array_equal(mask, walk([(alpha, alpha) for alpha in alphas], threshold, range(256), contour))


@given(planes_of(0, 1, 12, NO_PART), st.booleans())
def test_chosen_parts_equal_a_walk_over_the_pixels(labels: list[np.ndarray], contour: bool) -> None:
    people = [from_parts(one) for one in labels]
    mask = to_binary_mask(people, foreground=WHITE, draw_contour=contour, foreground_mask_values=[0, 1])
    masks = [(one, np.where(one < NO_PART, 255, 0)) for one in labels]
    np.testing.assert_array_equal(mask, walk(masks, 0.5, [0, 1], contour))


@pytest.mark.parametrize(
    ("probability", "alpha"), [(0, 0), (1, 255), (0.5, 128), (0.499 / 255, 0), (127.49 / 255, 127)]
)
def test_red_and_alpha_of_a_person_are_the_rounded_probability(probability: float, alpha: int) -> None:
    red, opacity = planes(from_probabilities([[probability]]))
    assert red.item() == opacity.item() == alpha


def test_where_masks_overlap_the_last_one_is_seen() -> None:
    first, last = from_parts([[3, 3, NO_PART]]), from_parts([[NO_PART, 5, NO_PART]])
    mask = to_colored_mask([first, last], background=(1, 2, 3, 4))
    assert mask is not None
    assert mask.tolist() == [[[*PART_COLORS[3], 255], [*PART_COLORS[5], 255], [1, 2, 3, 4]]]


def test_the_colour_of_a_value_is_asked_for_once_and_only_if_it_occurs() -> None:
    asked: list[int] = []

    def color(value: int) -> tuple[int, int, int]:
        asked.append(value)
        return (value, 0, 0)

    mask = to_colored_mask(from_parts([[7, 7, 2, NO_PART]]), color)
    assert mask is not None
    assert mask[0, :, 0].tolist() == [7, 7, 2, 0]
    assert asked == [2, 7]


def test_nobody_is_no_mask() -> None:
    assert to_binary_mask([]) is None
    assert to_colored_mask([]) is None


def test_rainbow_colours_end_with_the_last_part() -> None:
    assert bodypix_mask_value_to_rainbow_color(23) == (99, 81, 195, 255)
    for value in (24, -1, 255):
        with pytest.raises(InputError, match=r"\[0, 23\]"):
            bodypix_mask_value_to_rainbow_color(value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"foreground": (0, 0)}, "foreground is"),
        ({"background": (0, 0, 256)}, "background is"),
        ({"background": (0, 0.5, 0)}, "integers"),
        ({"foreground_threshold": 1.1}, r"foreground_threshold is a number in \[0, 1\], got 1.1"),
        ({"foreground_threshold": float("nan")}, "foreground_threshold"),
        ({"foreground_mask_values": [256]}, "got 256"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        to_binary_mask(from_probabilities([[1.0]]), **options)  # type: ignore[arg-type]


def test_masks_of_different_sizes_do_not_mix() -> None:
    with pytest.raises(InputError, match="1 x 2"):
        to_binary_mask([from_probabilities([[1.0]]), from_probabilities([[1.0, 0.0]])])


@pytest.mark.parametrize("wrong", [None, 3, "mask", [None], np.zeros((2, 2))])
def test_what_is_not_a_segmentation_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="Segmentation"):
        to_binary_mask(wrong)  # type: ignore[arg-type]

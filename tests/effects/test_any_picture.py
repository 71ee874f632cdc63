"""Every effect on pictures of every size and layout, from people who are anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemask import effects
from posemask.bodies import COCO, NO_PART
from posemask.results import Pose

from .segmentations import from_parts, from_probabilities

EFFECTS: dict[str, Callable[..., np.ndarray]] = {
    "blur_background": lambda image, person, **_: effects.blur_background(image, person),
    "replace_background": lambda image, person, **_: effects.replace_background(image, person, image[::-1]),
    "replace_background, flipped": lambda image, person, **_: effects.replace_background(
        image, person, (1, 2, 3), flip_horizontal=True
    ),
    "cut_out": lambda image, person, **_: effects.cut_out(image, person),
    "draw_bokeh_effect": lambda image, person, **_: effects.draw_bokeh_effect(
        image, person, edge_blur_amount=7, background_blur_amount=9
    ),
    "blur_body_part": lambda image, parts, **_: effects.blur_body_part(image, parts, [0, 1]),
    "draw_parts": lambda image, parts, **_: effects.draw_parts(image, parts),
    "blur_parts": lambda image, parts, **_: effects.blur_parts(image, parts, [0, 1]),
    "draw_mask": lambda image, parts, **_: effects.draw_mask(image, effects.to_colored_mask(parts), mask_blur_amount=2),
    "draw_pixelated_mask": lambda image, parts, **_: effects.draw_pixelated_mask(
        image, effects.to_colored_mask(parts), pixel_cell_width=min(image.shape[:2]), mask_blur_amount=2
    ),
    "draw_skeleton": lambda image, pose, **_: effects.draw_skeleton(image, pose),
}


def layouts(pixels: np.ndarray) -> list[np.ndarray]:
    """The same picture as a contiguous array, upside down in memory, from an RGBA array, and from columns first."""
    padded = np.zeros((*pixels.shape[:2], 4), np.uint8)
    padded[..., :3] = pixels
    return [
        pixels,
        np.ascontiguousarray(pixels[::-1])[::-1],
        padded[..., :3],
        np.ascontiguousarray(pixels.swapaxes(0, 1)).swapaxes(0, 1),
        np.ascontiguousarray(pixels[:, ::-1])[:, ::-1],
    ]


@pytest.mark.parametrize("name", EFFECTS)
@given(st.integers(1, 13), st.integers(1, 13), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_size_and_layout_do_not_matter(name: str, height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    what: dict[str, Any] = {
        "person": from_probabilities(random.random((height, width))),
        "parts": from_parts(random.integers(0, NO_PART + 1, (height, width))),
        "pose": Pose(
            xy=random.normal(5, 20, (17, 2)).astype(np.float32),
            z=np.full(17, np.nan, np.float32),
            visibility=random.random(17).astype(np.float32),
            presence=np.ones(17, np.float32),
            world=None,
            score=1.0,
            box=np.zeros(4, np.float32),
            skeleton=COCO,
        ),
    }
    results = []
    for image in layouts(pixels):
        before = image.copy()
        image.flags.writeable = False
        picture = EFFECTS[name](image, **what)
        np.testing.assert_array_equal(image, before)
        assert picture.dtype == np.uint8
        assert picture.shape[:2] == (height, width)
        assert picture.flags.c_contiguous
        assert picture.flags.writeable
        results.append(picture)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])

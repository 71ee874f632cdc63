"""Mattes: kept in a box, and yet the same as without one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemask.effects import to_binary_mask
from posemask.effects._matte import hard_matte, soft_matte
from posemask.pixels import native
from posemask.results import Mask, Segmentation

SIZE_HW = (50, 70)


def masks() -> st.SearchStrategy[Segmentation]:
    """Small masks, turned, scaled and moved so that they lie inside, across and outside the picture's border."""

    def make(seed: int, scale: float, angle: float, x: float, y: float, border: str, filled: float) -> Segmentation:
        random = np.random.default_rng(seed)
        height, width = random.integers(2, 12, 2)
        values = random.random((height, width)).astype(np.float32)
        values[random.random((height, width)) > filled] = 0
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        image_from_crop = np.array([[cos, -sin, x], [sin, cos, y]])
        mask = Mask(
            probabilities=values, image_from_crop=image_from_crop, size_hw=SIZE_HW, border=border, paste=native.paste
        )
        return Segmentation(mask=mask)

    return st.builds(
        make,
        st.integers(0, 10**6),
        st.floats(0.6, 12),
        st.floats(-4, 4),
        st.floats(-80, 100),
        st.floats(-60, 80),
        st.sampled_from(["zero", "replicate"]),
        st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    )


@given(st.lists(masks(), min_size=1, max_size=3), st.sampled_from([0.0, 0.01, 0.3, 0.5, 1.0]))
@settings(max_examples=150, deadline=None)
def test_a_hard_matte_is_the_binary_mask(people: list[Segmentation], threshold: float) -> None:
    expected = to_binary_mask(
        people, foreground=(0, 0, 0, 255), background=(0, 0, 0, 0), foreground_threshold=threshold
    )
    assert expected is not None
    difference = hard_matte(people, SIZE_HW, threshold).plane() != expected[..., 3]
    # Where a probability is the threshold to 7 digits, two ways of rounding may differ.
    cutoff = (math.floor(255 * threshold + 0.5) - 0.5) / 255
    close = np.zeros(SIZE_HW, dtype=bool)
    for one in people:
        close |= np.abs(np.asarray(one.mask) - cutoff) < 1e-5
    assert not (difference & ~close).any()


@given(masks(), st.sampled_from([(0.0, 1.0), (0.4, 0.9), (0.5, 0.5)]))
@settings(max_examples=150, deadline=None)
def test_a_soft_matte_is_the_ramp_of_the_smoothed_mask(person: Segmentation, edge: tuple[float, float]) -> None:
    mask = person.mask
    ring = {"zero": "constant", "replicate": "edge"}[mask.border]
    padded = np.pad(mask.probabilities, 2, mode=ring).astype(np.float64)
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth = ((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16).astype(np.float32)
    image_from_ringed = mask.image_from_crop.copy()
    image_from_ringed[:, 2] = mask.image_from_crop @ [-1, -1, 1]
    enlarged = native.paste(smooth, image_from_ringed, SIZE_HW, border=mask.border)
    low, high = edge
    if low == high:
        expected = np.where(enlarged > low, 255.0, 0.0)
        settled = np.abs(enlarged - low) > 1e-5
    else:
        expected = 255 * np.clip((enlarged - low) / (high - low), 0, 1)
        settled = np.ones(SIZE_HW, dtype=bool)
    plane = soft_matte([person], SIZE_HW, edge).plane()
    # What the ramp moves below 0 outside the crop's ring is 0 for the pasting, so within one mask pixel of the crop's
    # border the ramp from an edge that is a person may differ; nobody can tell what is right there.
    inside = native.paste(np.ones_like(smooth), image_from_ringed, SIZE_HW, border=mask.border) > 0.999
    assert (np.abs(plane - expected) < 0.51)[settled & inside].all()
    if mask.border == "zero":
        assert not plane[native.paste(np.ones_like(smooth), image_from_ringed, SIZE_HW) == 0].any()


@given(masks(), masks())
@settings(max_examples=60, deadline=None)
def test_of_two_people_the_more_opaque_counts(first: Segmentation, second: Segmentation) -> None:
    edge = (0.2, 0.8)
    both = soft_matte([first, second], SIZE_HW, edge).plane()
    alone = [soft_matte([one], SIZE_HW, edge).plane() for one in (first, second)]
    np.testing.assert_array_equal(both, np.maximum(*alone))


@given(masks(), st.integers(0, 90))
@settings(max_examples=60, deadline=None)
def test_growing_and_mirroring_keep_the_plane(person: Segmentation, margin: int) -> None:
    matte = soft_matte([person], SIZE_HW, (0.2, 0.8))
    np.testing.assert_array_equal(matte.grown(margin).plane(), matte.plane())
    np.testing.assert_array_equal(matte.mirrored().plane(), matte.plane()[:, ::-1])


def test_the_box_is_only_where_somebody_is() -> None:
    values = np.zeros((10, 10), dtype=np.float32)
    values[4:6, 7] = 1
    mask = Mask(
        probabilities=values,
        image_from_crop=np.array([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]),
        size_hw=(60, 60),
        paste=native.paste,
    )
    matte = hard_matte([Segmentation(mask=mask)], (60, 60), 0.5)
    assert (matte.top, matte.left) == (15, 30)
    assert matte.alpha.shape == (16, 11)
    assert matte.alpha.any()


def test_nobody_is_an_empty_matte() -> None:
    assert soft_matte([], (4, 5), (0.4, 0.9)).alpha.size == 0
    assert soft_matte([], (4, 5), (0.4, 0.9)).plane().shape == (4, 5)


@pytest.mark.parametrize("edge", [(0.4, 0.9), (0.0, 0.0), (1.0, 1.0)])
def test_people_at_the_border_reach_it(edge: tuple[float, float]) -> None:
    """A selfie mask that is full up to its edge is full up to the picture's, and a half pixel beyond is no gap."""
    values = np.full((4, 4), 1.0, dtype=np.float32)
    half_pixel = np.array([[10.0, 0.0, 4.5], [0.0, 10.0, 4.5]])
    mask = Mask(
        probabilities=values, image_from_crop=half_pixel, size_hw=(40, 40), border="replicate", paste=native.paste
    )
    plane = soft_matte([Segmentation(mask=mask)], (40, 40), edge).plane()
    assert (plane == (255 if edge != (1.0, 1.0) else 0)).all()

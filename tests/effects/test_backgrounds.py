"""Blurred, replaced and removed backgrounds: what is sharp stays, what is hidden is gone, and nothing bleeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemask.effects import blur_background, cut_out, fit_background, replace_background
from posemask.effects._matte import soft_matte
from posemask.errors import ImageError, InputError
from posemask.pixels import native
from posemask.results import Frame, Mask, Segmentation

from .segmentations import from_probabilities

SIZE_HW = (120, 160)


@pytest.fixture(scope="module")
def person() -> Segmentation:
    """A person in the middle third, who leaves the picture at the bottom; the mask is small, enlarged eight times."""
    values = np.zeros((15, 20), dtype=np.float32)
    values[4:, 7:13] = 1
    half_pixel = np.array([[8.0, 0.0, 3.5], [0.0, 8.0, 3.5]])
    mask = Mask(
        probabilities=values, image_from_crop=half_pixel, size_hw=SIZE_HW, border="replicate", paste=native.paste
    )
    return Segmentation(mask=mask)


@pytest.fixture(scope="module")
def alpha(person: Segmentation) -> np.ndarray:
    return soft_matte([person], SIZE_HW, (0.4, 0.9)).plane()


@pytest.fixture(scope="module")
def photo(alpha: np.ndarray) -> np.ndarray:
    """A red, noisy person before a blue, noisy background."""
    noise = np.random.default_rng(3).integers(0, 60, (*SIZE_HW, 3)).astype(np.uint8)
    image = noise + np.where(alpha[..., None] > 127, (190, 0, 0), (0, 0, 190)).astype(np.uint8)
    image.flags.writeable = False
    return image


@pytest.fixture(scope="module")
def beach() -> np.ndarray:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def test_a_blurred_background_leaves_people_alone(photo: np.ndarray, person: Segmentation, alpha: np.ndarray) -> None:
    picture = blur_background(photo, person, strength=40)
    np.testing.assert_array_equal(picture[alpha == 255], photo[alpha == 255])
    assert picture[alpha == 0][:, 1].std() < 0.2 * photo[alpha == 0][:, 1].std()


def test_people_do_not_bleed_into_a_blurred_background(
    photo: np.ndarray, person: Segmentation, alpha: np.ndarray
) -> None:
    picture = blur_background(photo, person, strength=60)
    assert picture[alpha == 0][:, 0].max() < 60, "red noise is 30 in the mean; the person's red is 190 more"
    bleeding = native.blur(photo, 10)
    assert bleeding[alpha == 0][:, 0].max() > 80


def test_strength_is_relative_to_the_picture(person: Segmentation) -> None:
    """An edge is as soft, relative to the picture, in a small picture as in a large one."""

    def softness(height: int) -> float:
        image = np.zeros((height, 2 * height, 3), np.uint8)
        image[:, height:] = 255
        profile = blur_background(image, [], strength=30)[height // 2, :, 0] / 255
        return np.abs(profile - (np.arange(2 * height) >= height)).sum() / height

    assert softness(180) == pytest.approx(softness(720), rel=0.03)


def test_the_strongest_blur_of_a_huge_picture_is_no_error() -> None:
    assert not blur_background(np.zeros((2400, 2400, 3), np.uint8), [], strength=100).any()


def test_a_replaced_background_is_the_new_one_and_the_people(
    photo: np.ndarray, person: Segmentation, alpha: np.ndarray, beach: np.ndarray
) -> None:
    picture = replace_background(photo, person, beach)
    np.testing.assert_array_equal(picture[alpha == 255], photo[alpha == 255])
    np.testing.assert_array_equal(picture[alpha == 0], beach[alpha == 0])


def test_clean_edges_keep_the_old_background_out(person: Segmentation, alpha: np.ndarray) -> None:
    image = np.where(alpha[..., None] > 200, (200, 0, 0), (0, 0, 200)).astype(np.uint8)
    rim = (alpha > 60) & (alpha <= 200)
    assert rim.sum() > 200
    plain = replace_background(image, person, (0, 0, 0), clean_edges=False)
    clean = replace_background(image, person, (0, 0, 0))
    assert clean[rim][:, 2].mean() < 0.8 * plain[rim][:, 2].mean()
    assert clean[rim][:, 0].mean() > plain[rim][:, 0].mean()


def test_without_clean_edges_it_is_a_plain_mixture(
    photo: np.ndarray, person: Segmentation, alpha: np.ndarray, beach: np.ndarray
) -> None:
    picture = replace_background(photo, person, beach, clean_edges=False)
    np.testing.assert_array_equal(picture, native.blend(photo, beach, alpha))


def test_backgrounds_are_pictures_frames_and_colours(
    photo: np.ndarray, person: Segmentation, beach: np.ndarray
) -> None:
    frame = Frame(image=beach, time=0.0, index=0)
    np.testing.assert_array_equal(replace_background(photo, person, frame), replace_background(photo, person, beach))
    green = np.full_like(beach, (10, 200, 30))
    np.testing.assert_array_equal(
        replace_background(photo, person, (10, 200, 30)), replace_background(photo, person, green)
    )


def test_flipped_people_stand_before_an_unflipped_background(
    photo: np.ndarray, person: Segmentation, beach: np.ndarray
) -> None:
    picture = replace_background(photo, person, beach, flip_horizontal=True)
    mirrored = replace_background(photo, person, beach[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(picture, mirrored)
    np.testing.assert_array_equal(
        blur_background(photo, person, flip_horizontal=True), blur_background(photo, person)[:, ::-1]
    )


def test_a_cut_out_is_the_people_and_nothing_else(photo: np.ndarray, person: Segmentation, alpha: np.ndarray) -> None:
    picture = cut_out(photo, person)
    assert picture.shape == (*SIZE_HW, 4)
    np.testing.assert_array_equal(picture[..., 3], alpha)
    np.testing.assert_array_equal(picture[alpha == 255][:, :3], photo[alpha == 255])
    assert not picture[alpha == 0].any(), "the old background is not there, not even invisibly"


def test_nobody(photo: np.ndarray, beach: np.ndarray) -> None:
    nobody = from_probabilities(np.zeros(SIZE_HW))
    for people in ([], nobody):
        np.testing.assert_array_equal(replace_background(photo, people, beach), beach)
        np.testing.assert_array_equal(replace_background(photo, people, beach, flip_horizontal=True), beach)
        assert not cut_out(photo, people).any()
        blurred = blur_background(photo, people).astype(int)
        assert np.abs(blurred - native.blur(photo, 12 * 120 / 720)).max() <= 1


def test_everybody(photo: np.ndarray, beach: np.ndarray) -> None:
    everywhere = from_probabilities(np.ones(SIZE_HW))
    for picture in (
        blur_background(photo, everywhere),
        replace_background(photo, everywhere, beach),
        cut_out(photo, everywhere)[..., :3],
    ):
        np.testing.assert_array_equal(picture[2:-2, 2:-2], photo[2:-2, 2:-2])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_a_background_covers_and_is_not_distorted(height: int, width: int, wanted_h: int, wanted_w: int) -> None:
    y, x = np.mgrid[:height, :width]
    background = np.stack([4 * x, 4 * y, np.full_like(x, 77)], axis=-1).astype(np.uint8)
    fitted = fit_background(background, (wanted_h, wanted_w))
    assert fitted.shape == (wanted_h, wanted_w, 3)
    assert not np.shares_memory(fitted, background)
    assert (fitted[..., 2] == 77).all()
    # Its middle is the background's middle: the mean of a ramp is its middle.
    assert fitted[..., 0].mean() / 4 == pytest.approx((width - 1) / 2, abs=0.8)
    assert fitted[..., 1].mean() / 4 == pytest.approx((height - 1) / 2, abs=0.8)


def test_nothing_is_written_to_the_callers_pictures(person: Segmentation) -> None:
    image = np.full((*SIZE_HW, 3), 5, np.uint8)
    background = np.full((*SIZE_HW, 3), 9, np.uint8)
    for array in (image, background):
        array.flags.writeable = False
    replace_background(image, person, background)[:] = 0
    blur_background(image, person)[:] = 0
    cut_out(image, person)[:] = 0
    assert (image == 5).all()
    assert (background == 9).all()


EFFECTS = [
    blur_background,
    cut_out,
    lambda image, people, **options: replace_background(image, people, (0, 0, 0), **options),
]


@pytest.mark.parametrize("effect", EFFECTS)
def test_wrong_edges_are_named(photo: np.ndarray, person: Segmentation, effect: Callable[..., np.ndarray]) -> None:
    for edge in ((0.9, 0.4), (0.5, 1.5), 0.5, (0.1, 0.2, 0.3), None):
        with pytest.raises(InputError, match="edge is"):
            effect(photo, person, edge=edge)


def test_wrong_options_are_named(photo: np.ndarray, person: Segmentation) -> None:
    with pytest.raises(InputError, match=r"strength is a number in \[1, 100\], got 0"):
        blur_background(photo, person, strength=0)
    with pytest.raises(InputError, match="background is"):
        replace_background(photo, person, (1, 2))
    with pytest.raises(InputError, match="background is"):
        replace_background(photo, person, "beach.jpg")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="uint8"):
        replace_background(photo, person, np.zeros((4, 4, 3)))
    with pytest.raises(InputError, match="expected a mask of 120 x 160"):
        cut_out(photo, from_probabilities([[1.0]]))

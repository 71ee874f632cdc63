"""TensorFlow.js' renderers: equal to its published pictures and to a canvas in plain floating point."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from posemask.bodies import NO_PART
from posemask.effects import (
    blur_body_part,
    draw_bokeh_effect,
    draw_mask,
    draw_pixelated_mask,
    to_binary_mask,
    to_colored_mask,
)
from posemask.errors import ImageError, InputError
from posemask.results import Frame

from . import canvas
from .segmentations import from_parts, from_probabilities

WHITE, BLACK = (255, 255, 255, 255), (0, 0, 0, 255)

# Between us and the floating point canvas: three 8-bit steps on the way (a blurred layer, its alpha, the mixture).
STEPS = 3.0
# And from 3 px on a blur that works in cells of 2 to 8 pixels, up to 4 levels off where the picture ends (its border is
# as sharp an edge as there can be) and twice that in its corners, where the rest of the alpha is divided out.
CELLS = 8.0


@pytest.fixture(scope="module")
def three_people(shared_data: Path) -> np.ndarray:
    """The photograph as a browser shows it: its profile ("Display") converted to sRGB."""
    with Image.open(shared_data / "groundtruth/tfjs_bodypix/three_people.jpg") as photo:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(photo.info["icc_profile"]))
        return np.asarray(ImageCms.profileToProfile(photo, profile, ImageCms.createProfile("sRGB")))


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Callable[[str], np.ndarray]:
    def read(name: str) -> np.ndarray:
        with Image.open(shared_data / "groundtruth/tfjs_bodypix" / f"three_people_{name}.png") as picture:
            return np.asarray(picture.convert("RGBA"))

    return read


def assert_close(picture: np.ndarray, expected: np.ndarray, *, mean: float, most: float) -> None:
    difference = np.abs(picture.astype(np.float64) - expected)
    assert difference.mean() <= mean
    assert difference.max() <= most


# The published pictures were drawn by a browser on a graphics card from a JPEG file with a colour profile. What is not
# ours to the last bit: the JPEG decoder and the conversion to sRGB (up to 2 levels where no effect touches the
# picture), 8-bit rounding of premultiplied colours, and our blur. Measured: mean 0.15 and at most 4 levels for the
# mask, mean 0.35 and at most 5 for the bokeh. Other options miss these bounds: see the test after these two.
def test_draw_mask_equals_the_published_one(three_people: np.ndarray, published: Callable[[str], np.ndarray]) -> None:
    people = from_probabilities(published("binary_segmentation")[..., 3] / 255)
    mask = to_binary_mask(people, foreground=WHITE, background=BLACK)
    picture = draw_mask(three_people, mask, mask_opacity=0.7, mask_blur_amount=3)
    assert_close(picture, published("draw_mask")[..., :3], mean=0.25, most=5)


def test_bokeh_equals_the_published_one(three_people: np.ndarray, published: Callable[[str], np.ndarray]) -> None:
    people = from_probabilities(published("binary_segmentation")[..., 3] / 255)
    picture = draw_bokeh_effect(three_people, people)
    assert_close(picture, published("bokeh_effect")[..., :3], mean=0.5, most=6)


@pytest.mark.parametrize(
    "options", [{"background_blur_amount": 2.5}, {"edge_blur_amount": 2}, {"foreground_threshold": 0}]
)
def test_the_bounds_tell_other_options_apart(
    three_people: np.ndarray, published: Callable[[str], np.ndarray], options: dict[str, float]
) -> None:
    people = from_probabilities(published("binary_segmentation")[..., 3] / 255)
    with pytest.raises(AssertionError):
        assert_close(
            draw_bokeh_effect(three_people, people, **options), published("bokeh_effect")[..., :3], mean=0.5, most=6
        )


# Drawn from the published segmentation by the canvas of this folder, which meets the two pictures above.
def test_blurred_faces_of_the_published_segmentation(
    three_people: np.ndarray, published: Callable[[str], np.ndarray]
) -> None:
    segmentation = published("colored_segmentation")
    parts = from_parts(np.where(segmentation[..., 3] > 0, segmentation[..., 0], NO_PART))
    picture = blur_body_part(three_people, parts, [0, 1])
    assert_close(picture, canvas.blur_body_part(three_people, [parts], [0, 1], 3, 3), mean=0.3, most=STEPS + 1)
    untouched = np.asarray(parts.part_labels)[:300] == NO_PART
    assert (picture[:300] != three_people[:300])[~untouched].mean() > 0.2, "faces are blurred"


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A smooth picture with noise, probabilities of two people who touch the border, and labels of parts."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[:60, :90]
    image = np.stack([2 * x, 4 * y, x + y], axis=-1) + random.integers(0, 40, (60, 90, 3))
    person = np.clip(1.2 - np.hypot(x - 20, y - 45) / 25, 0, 1) + np.clip(1.2 - np.hypot(x - 80, y - 8) / 20, 0, 1)
    labels = np.where(person > 0.4, (x // 12) % 24, NO_PART)
    image = image.astype(np.uint8)
    image.flags.writeable = False
    return image, np.clip(person, 0, 1), labels


BLURS = pytest.mark.parametrize(("sigma", "edge_sigma"), [(1, 0), (3, 3), (2.5, 1), (12, 3), (20, 20)])


@BLURS
def test_bokeh_equals_a_canvas(scene: tuple[np.ndarray, ...], sigma: float, edge_sigma: float) -> None:
    image, person, _ = scene
    options = {"background_blur_amount": sigma, "edge_blur_amount": edge_sigma, "foreground_threshold": 0.6}
    picture = draw_bokeh_effect(image, from_probabilities(person), **options)
    expected = canvas.draw_bokeh_effect(image, [from_probabilities(person)], 0.6, sigma, edge_sigma)
    assert_close(picture, expected, mean=0.9, most=STEPS if max(sigma, edge_sigma) < 3 else CELLS)


@BLURS
def test_blurred_parts_equal_a_canvas(scene: tuple[np.ndarray, ...], sigma: float, edge_sigma: float) -> None:
    image, _, labels = scene
    picture = blur_body_part(
        image, from_parts(labels), [1, 2, 6], background_blur_amount=sigma, edge_blur_amount=edge_sigma
    )
    expected = canvas.blur_body_part(image, [from_parts(labels)], [1, 2, 6], sigma, edge_sigma)
    assert_close(picture, expected, mean=0.9, most=STEPS if max(sigma, edge_sigma) < 3 else CELLS)


@pytest.mark.parametrize(("opacity", "sigma"), [(0.7, 0), (1, 0), (0, 2), (0.7, 3), (0.4, 9)])
@pytest.mark.parametrize("background", [(0, 0, 0, 0), (10, 200, 30, 255), (200, 30, 30, 90)])
def test_draw_mask_equals_a_canvas(
    scene: tuple[np.ndarray, ...], opacity: float, sigma: float, background: tuple[int, int, int, int]
) -> None:
    image, _, labels = scene
    mask = to_colored_mask(from_parts(labels), background=background)
    assert mask is not None
    picture = draw_mask(image, mask, mask_opacity=opacity, mask_blur_amount=sigma)
    assert_close(picture, canvas.draw_mask(image, mask, opacity, sigma), mean=0.8, most=STEPS)


@pytest.mark.parametrize(("opacity", "sigma", "cell"), [(0.7, 0, 10), (0.7, 3, 6), (0.2, 0, 2), (1, 0, 5), (0, 0, 10)])
def test_pixelated_mask_equals_a_canvas(scene: tuple[np.ndarray, ...], opacity: float, sigma: float, cell: int) -> None:
    image, _, labels = scene
    mask = to_colored_mask(from_parts(labels), background=(0, 0, 0, 255))
    assert mask is not None
    picture = draw_pixelated_mask(image, mask, mask_opacity=opacity, mask_blur_amount=sigma, pixel_cell_width=cell)
    assert_close(picture, canvas.draw_pixelated_mask(image, mask, opacity, sigma, cell), mean=0.8, most=STEPS)


def test_where_a_pixelated_mask_is_clear_the_picture_is_seen(scene: tuple[np.ndarray, ...]) -> None:
    image, _, labels = scene
    mask = to_colored_mask(from_parts(np.full_like(labels, NO_PART)), background=(0, 0, 0, 0))
    assert mask is not None
    picture = draw_pixelated_mask(image, mask, pixel_cell_width=15)
    inside = np.zeros(image.shape[:2], dtype=bool)
    inside[2:12, 2:12] = True  # between the first grid lines
    np.testing.assert_array_equal(picture[inside], image[inside])
    assert (picture[0] > image[0]).mean() > 0.9, "the grid is white"


@given(st.floats(3, 9.5), st.integers(10, 40), st.integers(10, 40))
@settings(max_examples=30, deadline=None)
def test_cells_need_not_divide_the_picture(cell: float, height: int, width: int) -> None:
    image, mask = np.zeros((height, width, 3), np.uint8), np.full((height, width, 4), (0, 0, 0, 255), np.uint8)
    picture = draw_pixelated_mask(image, mask, mask_opacity=1, pixel_cell_width=cell)
    grid = picture[1, :, 0] / 255  # the second row lies between two lines, so only columns are seen in it
    lines = int(width / cell)
    assert grid.sum() == pytest.approx(lines - 0.5, abs=0.005 * lines), (
        "each covers one pixel, half of the first lies outside"
    )
    middle = (grid * (np.arange(width) + 0.5)).sum()
    assert middle == pytest.approx(cell * lines * (lines - 1) / 2 + 0.25, abs=0.15 * lines), "they are a cell apart"


def test_flipped_pictures_are_mirrored(scene: tuple[np.ndarray, ...]) -> None:
    image, person, labels = scene
    mask = to_colored_mask(from_parts(labels))
    assert mask is not None
    for draw in (
        lambda flip: draw_mask(image, mask, flip_horizontal=flip),
        lambda flip: draw_mask(image, None, flip_horizontal=flip),
        lambda flip: draw_pixelated_mask(image, mask, flip_horizontal=flip),
        lambda flip: draw_bokeh_effect(image, from_probabilities(person), flip_horizontal=flip),
        lambda flip: blur_body_part(image, from_parts(labels), [1], flip_horizontal=flip),
    ):
        np.testing.assert_array_equal(draw(True), draw(False)[:, ::-1])


def test_nobody_is_a_blurred_picture_that_is_not_mirrored(scene: tuple[np.ndarray, ...]) -> None:
    image, person, _ = scene
    blurred = draw_bokeh_effect(image, [], background_blur_amount=4, flip_horizontal=True)
    np.testing.assert_array_equal(blurred, blur_body_part(image, [], [0], background_blur_amount=4))
    nobody = from_probabilities(np.zeros_like(person))
    np.testing.assert_array_equal(blurred, draw_bokeh_effect(image, nobody, background_blur_amount=4))


def test_draw_mask_without_a_mask_is_a_copy(scene: tuple[np.ndarray, ...]) -> None:
    image = scene[0]
    picture = draw_mask(image, None)
    np.testing.assert_array_equal(picture, image)
    assert not np.shares_memory(picture, image)


def test_a_frame_is_a_picture(scene: tuple[np.ndarray, ...]) -> None:
    image, person, _ = scene
    people = from_probabilities(person)
    frame = Frame(image=image, time=0.0, index=0)
    np.testing.assert_array_equal(draw_bokeh_effect(frame, people), draw_bokeh_effect(image, people))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"background_blur_amount": 0}, r"background_blur_amount is a number in \[1, 20\], got 0"),
        ({"background_blur_amount": 21}, r"\[1, 20\]"),
        ({"edge_blur_amount": -1}, r"edge_blur_amount is a number in \[0, 20\]"),
        ({"edge_blur_amount": "3px"}, "'3px'"),
        ({"foreground_threshold": 2}, "foreground_threshold"),
    ],
)
def test_wrong_options_are_named(scene: tuple[np.ndarray, ...], options: dict[str, float], words: str) -> None:
    image, person, labels = scene
    with pytest.raises(InputError, match=words):
        draw_bokeh_effect(image, from_probabilities(person), **options)
    with pytest.raises(InputError, match=words):
        blur_body_part(image, from_parts(labels), [0], **options)


def test_wrong_options_of_masks_are_named(scene: tuple[np.ndarray, ...]) -> None:
    image = scene[0]
    mask = np.zeros((60, 90, 4), np.uint8)
    with pytest.raises(InputError, match="mask_opacity"):
        draw_mask(image, mask, mask_opacity=1.5)
    with pytest.raises(InputError, match="mask_blur_amount"):
        draw_mask(image, mask, mask_blur_amount=20.5)
    with pytest.raises(InputError, match=r"pixel_cell_width is a number in \[1, 60\], got 0.5"):
        draw_pixelated_mask(image, mask, pixel_cell_width=0.5)
    with pytest.raises(ImageError, match="dimensions must match: the image is 60 x 90, the mask is 60 x 91"):
        draw_mask(image, np.zeros((60, 91, 4), np.uint8))
    with pytest.raises(ImageError, match=r"\(60, 90, 3\)"):
        draw_mask(image, image)
    with pytest.raises(InputError, match="Segmentation"):
        draw_bokeh_effect(image, mask)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [None, "photo.jpg", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_not_a_picture_is_refused(wrong: object) -> None:
    with pytest.raises(ImageError, match="picture"):
        draw_bokeh_effect(wrong, [])  # type: ignore[arg-type]


def test_masks_of_another_picture_are_refused(scene: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match="expected a mask of 60 x 90"):
        draw_bokeh_effect(scene[0], from_probabilities(np.zeros((60, 91))))

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from posemask.errors import ImageError, InputError
from posemask.pixels import native

from . import reference


def turned_square(centre: tuple[float, float], size: tuple[float, float], angle: float, hw: tuple[int, int]):
    """image_from_crop of a turned rectangle, no half pixel."""
    (height, width), cos, sin = hw, math.cos(angle), math.sin(angle)
    linear = np.array(
        [[cos * size[0] / width, -sin * size[1] / height], [sin * size[0] / width, cos * size[1] / height]]
    )
    return np.column_stack([linear, np.array(centre) - linear @ (width / 2, height / 2)])


def crop_bytes(image, image_from_crop, size_hw, border):
    return native.crop(image, image_from_crop, size_hw, border=border, out=np.empty((*size_hw, 3), np.uint8))


def test_published_pictures_are_met_bit_for_bit(shared_data: Path, level: str) -> None:
    golden = json.loads((shared_data / "golden" / "geometry.json").read_text())["published_pictures"]
    image = np.asarray(Image.open(shared_data / golden["input"]).convert("RGB"))
    folder = (shared_data / golden["input"]).parent
    assert len(golden["cases"]) == 13
    for case in golden["cases"]:
        size_hw = case["tensor"]["height"], case["tensor"]["width"]
        roi = case["roi"]
        transform = turned_square(roi["centre"], roi["size"], roi["rotation"], size_hw)
        result = crop_bytes(image, transform, size_hw, case["border"])
        np.testing.assert_array_equal(result, np.asarray(Image.open(folder / case["picture"]).convert("RGB")))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_equals_the_statement(data: st.DataObject) -> None:
    """Odd sizes, pictures of one pixel, crops partly and wholly outside, reduced and enlarged a hundredfold."""
    draw = data.draw
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)), label="picture")
    size_hw = draw(st.tuples(st.integers(1, 90), st.integers(1, 90)), label="crop")
    image = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (*shape, 3), dtype=np.uint8)
    quarter = st.integers(-200, 400).map(lambda n: n / 4)  # makes ties
    centre = draw(st.tuples(quarter, quarter) | st.tuples(st.floats(-60, 100), st.floats(-60, 100)), label="centre")
    size = draw(st.floats(0.5, 200) | st.integers(1, 100).map(float), label="size")
    angle = draw(st.sampled_from([0.0, math.pi / 2, -math.pi / 4]) | st.floats(-4, 4), label="angle")
    border = draw(st.sampled_from(["zero", "replicate"]))
    transform = turned_square(centre, (size, size * draw(st.floats(0.5, 2))), angle, size_hw)
    expected = reference.crop(image, transform, size_hw, border)
    np.testing.assert_array_equal(crop_bytes(image, transform, size_hw, border), expected)


def test_every_level_gives_the_same_bits(on_every_level) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (53, 67, 3), dtype=np.uint8)
    for angle in (0.0, 0.3, 2.0):
        transform = turned_square((30, 20), (70, 90), angle, (61, 77))
        result = on_every_level(
            lambda at=transform: native.crop(image, at, (61, 77), border="replicate", scale=0.3, offset=-7)
        )
        values = reference.crop(image, transform, (61, 77), "replicate")
        expected = values * np.float32(0.3) + np.float32(-7)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("border", ["zero", "replicate"])
@pytest.mark.parametrize("transform", [np.zeros((2, 3)), [[1e-9, 0, 5], [0, 1e-9, 5]], [[0, 0, 3], [0, 1, 0]]])
def test_crops_without_area_read_one_place(transform, border, level) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    transform = np.asarray(transform, np.float64)
    np.testing.assert_array_equal(
        crop_bytes(image, transform, (6, 7), border), reference.crop(image, transform, (6, 7), border)
    )


def test_far_away_is_border_and_nothing_else(level) -> None:
    image = np.full((5, 6, 3), 200, np.uint8)
    image[0, 0] = 50
    far = np.array([[1.0, 0.0, -1e12], [0.0, 1.0, -1e12]])
    assert not crop_bytes(image, far, (4, 4), "zero").any()
    assert (crop_bytes(image, far, (4, 4), "replicate") == 50).all()


def test_takes_views_of_any_stride_and_read_only_pictures(level) -> None:
    whole = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    whole.flags.writeable = False
    transform = turned_square((9, 8), (30, 25), 0.4, (33, 35))
    views = {
        "window": whole[3:30, 5:44],
        "upside down": whole[::-1],
        "every second row": whole[::2],
        "mirrored": whole[:, ::-1],
        "bgr": whole[..., ::-1],
        "channels first": np.moveaxis(np.ascontiguousarray(np.moveaxis(whole, 2, 0)), 0, 2),
        "one row for all": np.broadcast_to(whole[7], (20, 60, 3)),
    }
    for name, view in views.items():
        result = crop_bytes(view, transform, (33, 35), "replicate")
        np.testing.assert_array_equal(result, crop_bytes(view.copy(), transform, (33, 35), "replicate"), err_msg=name)


def test_never_reads_beyond_the_last_row(level) -> None:
    """The kernel loads 8 bytes where 6 are meant; at a row's right end it must not leave the picture.

    Only a sanitizer sees it; see tests/pixels/sanitize.py.
    """
    for width in (1, 2, 3, 4, 5):
        image = np.full((2, width, 3), 9, np.uint8)
        transform = np.array([[1.0, 0.0, -2.0], [0.0, 1.0, 0.0]])
        assert (crop_bytes(image, transform, (2, width + 4), "replicate") == 9).all()


def test_writes_into_rows_of_a_larger_array(level) -> None:
    image = np.random.default_rng(4).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    batch = np.full((2, 16, 17, 3), -1, np.float32)
    transform = turned_square((15, 10), (20, 20), 0.1, (16, 15))
    result = native.crop(image, transform, (16, 15), out=batch[1, :, 1:16])
    assert np.shares_memory(result, batch)
    np.testing.assert_array_equal(result, native.crop(image, transform, (16, 15)))
    assert (batch[0] == -1).all()
    assert (batch[1][:, [0, 16]] == -1).all()


def test_says_what_is_wrong() -> None:
    image, identity = np.zeros((4, 5, 3), np.uint8), np.eye(2, 3)
    with pytest.raises(ImageError, match=r"image must be a \(H, W, 3\) uint8 .* got float64 of shape \(4, 5, 3\)"):
        native.crop(image.astype(float), identity, (2, 2))
    with pytest.raises(ImageError, match="not empty"):
        native.crop(image[:0], identity, (2, 2))
    with pytest.raises(ImageError, match="got list"):
        native.crop([[1, 2, 3]], identity, (2, 2))
    with pytest.raises(InputError, match="finite"):
        native.crop(image, np.full((2, 3), np.nan), (2, 2))
    with pytest.raises(InputError, match=r"\(2, 3\)"):
        native.crop(image, np.eye(3), (2, 2))
    with pytest.raises(InputError, match="at least 1"):
        native.crop(image, identity, (0, 2))
    with pytest.raises(InputError, match='border must be "zero" or "replicate"'):
        native.crop(image, identity, (2, 2), border="reflect")
    with pytest.raises(InputError, match="out must be a writeable"):
        native.crop(image, identity, (2, 2), out=np.empty((2, 2, 3)))
    with pytest.raises(InputError, match="rows are contiguous"):
        native.crop(image, identity, (2, 2), out=np.empty((2, 4, 3), np.float32)[:, ::2])

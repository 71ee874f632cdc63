"""The eight ways of laying a picture down, and back up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from posemask.media.orientation import Orientation

STORED = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientations_are_pillows(value):
    image = Image.fromarray(STORED)
    image.getexif()[0x0112] = value
    expected = np.asarray(ImageOps.exif_transpose(image))
    orientation = Orientation.from_exif(value)
    np.testing.assert_array_equal(orientation.upright(STORED), expected)
    assert orientation.upright_hw((4, 6)) == expected.shape[:2]


@pytest.mark.parametrize("value", [0, 9, -1, None, "6", 6.0])
def test_anything_else_is_as_stored(value):
    assert Orientation.from_exif(value) == Orientation()


@pytest.mark.parametrize("value", range(1, 9))
def test_rows_land_where_the_whole_picture_would_put_them(value):
    orientation = Orientation.from_exif(value)
    upright = np.zeros((*orientation.upright_hw((4, 6)), 3), np.uint8)
    for top in range(4):
        orientation.write_stored_rows(STORED[top : top + 1], top, upright=upright)
    np.testing.assert_array_equal(upright, orientation.upright(STORED))


# What FFmpeg's av_display_rotation_set(matrix, degrees counterclockwise) gives, with 1 for 1 << 16.
@pytest.mark.parametrize(
    ("matrix", "quarter_turns_clockwise"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 0),
        ([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], 1),
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], 2),
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], 3),
    ],
)
def test_display_matrices_turn_as_they_say(matrix, quarter_turns_clockwise):
    orientation = Orientation.from_display_matrix(np.array(matrix, np.int32) << 16)
    np.testing.assert_array_equal(orientation.upright(STORED), np.rot90(STORED, -quarter_turns_clockwise))
    assert orientation.degrees == 90 * quarter_turns_clockwise


def test_a_mirroring_matrix_mirrors():
    orientation = Orientation.from_display_matrix(np.array([[-1, 0, 0], [0, 1, 0], [0, 0, 1]], np.int32) << 16)
    np.testing.assert_array_equal(orientation.upright(STORED), STORED[:, ::-1])
    assert orientation.degrees == 0


def test_an_upright_picture_is_not_copied():
    assert Orientation().upright(STORED) is STORED

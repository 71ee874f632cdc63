from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemask.errors import InputError
from posemask.pixels import native

from . import reference
from .test_crop import turned_square


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_equals_the_statement(data: st.DataObject) -> None:
    draw = data.draw
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)), label="mask")
    size_hw = draw(st.tuples(st.integers(1, 90), st.integers(1, 90)), label="picture")
    mask = np.random.default_rng(draw(st.integers(0, 99))).random(shape, np.float32)
    centre = draw(st.tuples(st.floats(-60, 150), st.floats(-60, 150)), label="centre")
    size = draw(st.floats(1, 300), label="size")
    angle = draw(st.just(0.0) | st.floats(-4, 4), label="angle")
    border = draw(st.sampled_from(["zero", "replicate"]))
    transform = turned_square(centre, (size, size * draw(st.floats(0.5, 2))), angle, shape)
    result = native.paste(mask, transform, size_hw, border=border)
    # float32 knows a coordinate of the mask to about 1e-6 of the pixels that 16 steps of it cover
    step = np.abs(np.linalg.inv(transform[:, :2])).max()
    np.testing.assert_allclose(result, reference.paste(mask, transform, size_hw, border), atol=2e-6 + 2e-6 * step)


@pytest.mark.parametrize("border", ["zero", "replicate"])
@pytest.mark.parametrize("angle", [0.0, 0.2, -1.4])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_every_level_gives_the_same_bits(on_every_level, border, angle, dtype) -> None:
    mask = np.random.default_rng(0).random((64, 48), np.float32)
    transform = turned_square((301, 133), (333, 277), angle, mask.shape)
    result = on_every_level(
        lambda: native.paste(mask, transform, (271, 563), border=border, out=np.empty((271, 563), dtype))
    )
    assert np.unique(result).size > 100


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_bytes_are_the_rounded_floats(level, angle) -> None:
    mask = np.random.default_rng(0).normal(0.5, 1, (30, 40)).astype(np.float32)  # also outside [0, 1]
    mask[3, 4], mask[9, 9], mask[20, 20] = 1e30, -1e30, np.inf
    transform = turned_square((60, 50), (90, 80), angle, mask.shape)
    floats = native.paste(mask, transform, (97, 131))
    bytes_ = native.paste(mask, transform, (97, 131), out=np.empty((97, 131), np.uint8))
    known = ~np.isnan(floats)  # infinity times a weight of 0
    expected = np.floor(np.clip(floats, 0, 1)[known] * np.float32(255) + np.float32(0.5))
    np.testing.assert_array_equal(bytes_[known], expected)
    assert not bytes_[~known].any()


@pytest.mark.parametrize("border", ["zero", "replicate"])
@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("box", [np.s_[:, :], np.s_[8:20, 13:14], np.s_[0:5, 30:40], np.s_[0:0, 0:0]])
def test_truth_is_what_is_above_one_half(level, border, angle, box) -> None:
    mask = np.full((30, 40), 0.2, np.float32)
    mask[box] = np.random.default_rng(0).random((30, 40), np.float32)[box]
    transform = turned_square((300, 150), (300, 200), angle, mask.shape)
    floats = native.paste(mask, transform, (297, 631), border=border)
    truth = native.paste(mask, transform, (297, 631), border=border, out=np.empty((297, 631), np.bool_))
    np.testing.assert_array_equal(truth, floats > 0.5)
    assert truth.any() == bool(mask[box].size)


def test_enlarges_a_mask_as_a_half_pixel_resize_does(level) -> None:
    mask = np.random.default_rng(5).random((36, 64), np.float32)
    for size_hw in ((180, 320), (179, 333), (36, 64), (20, 640), (17, 31)):
        scale_y, scale_x = size_hw[0] / 36, size_hw[1] / 64
        transform = np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2]])
        result = native.paste(mask, transform, size_hw, border="replicate")
        np.testing.assert_allclose(result, reference.resize(mask, size_hw, "linear"), atol=3e-6)


def test_straight_and_turned_crops_meet(level) -> None:
    """Two ways through the code: as the angle goes to 0 they must agree, at the crop's border too."""
    mask = np.random.default_rng(6).random((31, 29), np.float32) + 1
    straight = native.paste(mask, turned_square((40, 45), (60, 55), 0.0, mask.shape), (101, 99))
    turned = native.paste(mask, turned_square((40, 45), (60, 55), 1e-12, mask.shape), (101, 99))
    np.testing.assert_allclose(turned, straight, atol=1e-5)
    assert 0.2 < (straight > 0).mean() < 0.5


def test_nothing_but_zeros_where_the_crop_is_not(level) -> None:
    mask = np.ones((16, 16), np.float32)
    out = np.full((50, 60), 7, np.float32)
    for transform in (
        turned_square((-300, 20), (20, 20), 0.4, (16, 16)),
        turned_square((30, 1e9), (20, 20), 0, (16, 16)),
    ):
        assert native.paste(mask, transform, (50, 60), out=out) is out
        assert not out.any()
        out[...] = 7


def test_a_crop_pasted_back_is_the_picture_inside(level) -> None:
    y, x = np.mgrid[:120, :160]
    plane = ((np.sin(x / 17) + np.cos(y / 13)) * 60 + 125).astype(np.uint8)
    transform = turned_square((80, 60), (100, 100), 0.5, (200, 200))
    crop = native.crop(np.dstack([plane] * 3), transform, (200, 200))[..., 0]
    back = native.paste(np.ascontiguousarray(crop), transform, (120, 160))
    inside = native.paste(np.ones((200, 200), np.float32), transform, (120, 160)) > 0.999
    inside[[0, -1]] = False  # there the crop has seen the border
    inside[:, [0, -1]] = False
    assert inside.sum() > 5000
    np.testing.assert_allclose(back[inside] * 255, plane[inside], atol=3)


def test_takes_views_and_read_only_masks(level) -> None:
    whole = np.random.default_rng(7).random((40, 50), np.float32)
    whole.flags.writeable = False
    transform = turned_square((33, 30), (44, 50), 0.3, (20, 20))
    for view in (whole[2:30, 3:41], whole[::-1], whole[::3], whole[:, ::-1], whole[:, ::2], whole.T):
        np.testing.assert_array_equal(
            native.paste(view, transform, (70, 71)), native.paste(view.copy(), transform, (70, 71))
        )


def test_says_what_is_wrong() -> None:
    mask, identity = np.zeros((4, 5), np.float32), np.eye(2, 3)
    with pytest.raises(InputError, match=r"mask must be .* float32 .* got float64"):
        native.paste(mask.astype(float), identity, (2, 2))
    with pytest.raises(InputError, match="not empty"):
        native.paste(mask[:, :0], identity, (2, 2))
    with pytest.raises(InputError, match="cannot be inverted"):
        native.paste(mask, np.zeros((2, 3)), (2, 2))
    with pytest.raises(InputError, match="at least 1"):
        native.paste(mask, identity, (2, -1))
    with pytest.raises(InputError, match="out must be"):
        native.paste(mask, identity, (2, 2), out=np.empty((2, 3), np.float32))
    read_only = np.zeros((2, 2), np.float32)
    read_only.flags.writeable = False
    with pytest.raises(InputError, match="writeable"):
        native.paste(mask, identity, (2, 2), out=read_only)
    assert math.isclose(native.paste(mask + 1, identity, (2, 2)).sum(), 4)

"""Arrays and tensors as pictures: which shapes and types, scaled how, copied when."""

from __future__ import annotations

import numpy as np
import pytest

from posemask.errors import ImageError, InputError
from posemask.media import read_image


@pytest.fixture
def rgb():
    return np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_rgb_uint8_is_taken_as_it_is(rgb):
    rgb.flags.writeable = False
    assert read_image(rgb) is rgb


def test_a_view_that_is_not_contiguous_is_copied(rgb):
    view = rgb[:, ::-1]
    image = read_image(view)
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, view)


def test_alpha_is_dropped_not_blended(rgb):
    transparent = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    np.testing.assert_array_equal(read_image(transparent), rgb)


@pytest.mark.parametrize("channels", [3, 4])
def test_bgr_is_turned_around(rgb, channels):
    bgr = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 9, np.uint8)])[..., :channels]
    image = read_image(bgr, bgr=True)
    np.testing.assert_array_equal(image, rgb)
    assert image.flags.c_contiguous


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_grey_becomes_three_equal_channels(shape):
    grey = np.arange(35, dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(read_image(grey), np.repeat(grey.reshape(5, 7, 1), 3, axis=2))


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bits_keep_the_high_byte(dtype):
    grey = np.array([[0, 255, 256, 0x8000, 65535]]).astype(dtype)
    assert read_image(grey)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_bool_is_black_and_white():
    assert read_image(np.array([[True, False]]))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_go_from_0_to_1(rgb, dtype):
    floats = (rgb / 255).astype(dtype)
    np.testing.assert_array_equal(read_image(floats), rgb)


def test_floats_may_overshoot_by_rounding():
    assert read_image(np.array([[-1e-6, 1 + 1e-6]]))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("value", [255.0, -0.1, np.nan, np.inf])
def test_floats_outside_0_to_1_are_refused(value):
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        read_image(np.full((2, 2, 3), value))


@pytest.mark.parametrize("shape", [(4,), (2, 4, 6, 3), (4, 6, 2), (4, 6, 5), (0, 6, 3), (4, 0, 3), (0, 6)])
def test_shapes_that_are_no_picture_are_refused(shape):
    with pytest.raises(ImageError, match="shape"):
        read_image(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.complex64])
def test_types_that_do_not_say_their_range_are_refused(dtype):
    with pytest.raises(ImageError, match="uint8, uint16, bool or floating point"):
        read_image(np.zeros((2, 2, 3), dtype))


def test_the_callers_array_is_never_written(rgb):
    floats = rgb / 255
    before = floats.copy()
    read_image(floats)
    np.testing.assert_array_equal(floats, before)


def test_other_types_are_refused_in_words():
    with pytest.raises(ImageError, match="got int"):
        read_image(42)


def test_bgr_is_for_arrays_only(tmp_path):
    with pytest.raises(InputError, match="arrays and tensors"):
        read_image(tmp_path / "photo.jpg", bgr=True)


class TestTensors:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    def test_channels_last_shares_memory(self, torch, rgb):
        tensor = torch.from_numpy(rgb)
        assert np.shares_memory(read_image(tensor), rgb)

    def test_channels_first(self, torch, rgb):
        tensor = torch.from_numpy(rgb).permute(2, 0, 1)
        np.testing.assert_array_equal(read_image(tensor), rgb)
        np.testing.assert_array_equal(read_image(tensor.contiguous()), rgb)

    def test_where_both_orders_are_possible_channels_are_last(self, torch):
        tensor = torch.arange(36, dtype=torch.uint8).reshape(3, 4, 3)
        np.testing.assert_array_equal(read_image(tensor), tensor.numpy())

    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
    def test_floats_with_a_gradient(self, torch, dtype):
        tensor = torch.tensor([[0.0, 0.5, 1.0]], dtype=getattr(torch, dtype), requires_grad=True)
        assert read_image(tensor)[0, :, 0].tolist() == [0, 128, 255]

    def test_grey_and_bool(self, torch):
        assert read_image(torch.tensor([[True, False]]))[0, :, 0].tolist() == [255, 0]

    def test_a_batch_is_refused(self, torch):
        with pytest.raises(ImageError, match="one by one"):
            read_image(torch.zeros(1, 3, 4, 4))

    def test_what_numpy_cannot_hold_is_refused(self, torch):
        with pytest.raises(ImageError, match="torch"):
            read_image(torch.zeros(3, 4, 4, device="meta"))

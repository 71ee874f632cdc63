"""`posemask.pixels.torch` against the CPU's kernels, and the GPU's kernels against it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posemask.errors import ImageError, InputError, RuntimeUnavailableError
from posemask.numbers.geometry import image_from_crop
from posemask.pixels import torch as pixels

native = pytest.importorskip("posemask.pixels.native", exc_type=RuntimeUnavailableError)
RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (117, 203, 3), dtype=np.uint8)


def some_rois(count: int) -> np.ndarray:
    upright = np.where(np.arange(count) % 2, 1.0, 0.0)
    columns = [RNG.uniform(0, 203, count), RNG.uniform(0, 117, count), RNG.uniform(20, 400, count)]
    return np.stack([*columns, RNG.uniform(-3, 3, count) * upright], -1)


@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_crops_equal_the_cpu_kernels_byte_for_byte(border: str) -> None:
    maps = image_from_crop(some_rois(24), 64)
    got = pixels.crop(torch.from_numpy(PICTURE), torch.from_numpy(maps), (64, 64), border=border, dtype=torch.uint8)
    for i, one in enumerate(maps):
        expected = native.crop(PICTURE, one, (64, 64), border=border, out=np.empty((64, 64, 3), np.uint8))
        np.testing.assert_array_equal(got[i].numpy(), expected)


def test_crop_scales_and_shifts() -> None:
    one = image_from_crop(np.array([100.0, 50, 90, 0.3]), 32)
    got = pixels.crop(torch.from_numpy(PICTURE), torch.from_numpy(one), (32, 32), scale=2 / 255, offset=-1.0)
    np.testing.assert_allclose(got.numpy(), native.crop(PICTURE, one, (32, 32), scale=2 / 255, offset=-1.0), atol=1e-6)


@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_paste_equals_the_cpu_kernels(border: str) -> None:
    masks = RNG.random((6, 40, 40), dtype=np.float32)
    maps = image_from_crop(some_rois(6), 40)
    got = pixels.paste(torch.from_numpy(masks), torch.from_numpy(maps), (117, 203), border=border)
    for i in range(6):
        np.testing.assert_allclose(
            got[i].numpy(), native.paste(masks[i], maps[i], (117, 203), border=border), atol=2e-4
        )


@pytest.mark.parametrize("sigma", [0.8, 2.5, 5, 12, 30])
@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_blur_equals_the_cpu_kernels(sigma: float, border: str) -> None:
    smooth = native.blur(PICTURE, 2)
    got = pixels.blur(torch.from_numpy(smooth), sigma, border=border).numpy().astype(int)
    assert np.abs(got - native.blur(smooth, sigma, border=border)).max() <= 1


@pytest.mark.parametrize("masked", [False, True])
def test_blend_blurred_equals_the_cpu_kernels(masked: bool) -> None:
    alpha = native.blur(RNG.integers(0, 256, (117, 203), dtype=np.uint8), 6)
    got = pixels.blend_blurred(torch.from_numpy(PICTURE), torch.from_numpy(alpha), 8, masked=masked).numpy().astype(int)
    assert np.abs(got - native.blend_blurred(PICTURE, alpha, 8, masked=masked)).max() <= 1


def test_blend_equals_the_cpu_kernels() -> None:
    alpha, other = RNG.integers(0, 256, (117, 203), dtype=np.uint8), PICTURE[::-1].copy()
    got = pixels.blend(torch.from_numpy(PICTURE), torch.from_numpy(other), torch.from_numpy(alpha))
    np.testing.assert_array_equal(got.numpy(), native.blend(PICTURE, other, alpha))


def test_batches_are_their_pictures_side_by_side() -> None:
    two = torch.from_numpy(np.stack([PICTURE, PICTURE[::-1]]))
    np.testing.assert_array_equal(pixels.blur(two, 4)[1].numpy(), pixels.blur(two[1], 4).numpy())
    np.testing.assert_array_equal(pixels.resize(two, (50, 60))[1].numpy(), pixels.resize(two[1], (50, 60)).numpy())


def test_area_shrinking_is_the_mean() -> None:
    picture = torch.from_numpy(PICTURE[:116, :202])
    mean = PICTURE[:116, :202].reshape(58, 2, 101, 2, 3).mean((1, 3))
    assert np.abs(pixels.resize(picture, (58, 101), method="area").numpy() - mean).max() <= 0.5


@pytest.mark.parametrize("colors", [None, pixels.YuvColors(matrix="bt601", full_range=True)])
def test_nv12_and_back_changes_grey_pictures_by_a_level(colors: pixels.YuvColors | None) -> None:
    grey = torch.from_numpy(np.repeat(native.blur(PICTURE, 5)[:116, :202, :1], 3, axis=2))
    back = pixels.nv12_to_rgb(*pixels.rgb_to_nv12(grey, colors), colors)
    assert (back.int() - grey.int()).abs().max() <= 2


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ImageError, match="uint8 tensor"):
        pixels.blur(torch.zeros(4, 4, 3), 2)
    with pytest.raises(InputError, match="border"):
        pixels.blur(torch.zeros(4, 4, 3, dtype=torch.uint8), 2, border="wrap")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="even"):
        pixels.rgb_to_nv12(torch.zeros(3, 4, 3, dtype=torch.uint8))

"""Resize, blur, blend, alpha and drawing against the plain statements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemask.errors import ImageError, InputError
from posemask.pixels import native

from . import reference


def random_picture(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def natural_picture(height: int, width: int) -> np.ndarray:
    """Soft shading, hard edges, a bright rim and a little noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    picture = (
        120 + 60 * np.sin(x / 31 + y / 57) + 40 * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2)
    )
    picture = picture[..., None] + np.array([0, 15, -20]) + rng.normal(0, 3, (height, width, 3))
    picture[:2] = 250
    return np.clip(picture, 0, 255).astype(np.uint8)


sizes = st.integers(1, 70)


@settings(max_examples=80, deadline=None)
@given(height=sizes, width=sizes, new_height=sizes, new_width=sizes, method=st.sampled_from(["linear", "area"]),
       channels=st.sampled_from([0, 3, 4]), seed=st.integers(0, 99))  # fmt: skip
def test_resize_equals_the_statement(height, width, new_height, new_width, method, channels, seed) -> None:
    image = random_picture(seed, height, width, *([channels] if channels else []))
    expected = reference.resize(image, (new_height, new_width), method)
    result = native.resize(image, (new_height, new_width), method=method)
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result, expected, atol=0.5001)
    if not channels:
        plane = image.astype(np.float32)
        np.testing.assert_allclose(native.resize(plane, (new_height, new_width), method=method), expected, atol=1e-3)


def test_resize_gives_the_same_bits_on_every_level(on_every_level) -> None:
    image = random_picture(1, 55, 83, 3)
    on_every_level(lambda: native.resize(image, (120, 31), method="area"))
    on_every_level(lambda: native.resize(image, (31, 200)))
    plane = image[..., 1].astype(np.float32)
    on_every_level(lambda: native.resize(plane, (31, 20), method="area"))


@settings(max_examples=80, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), sigma=st.floats(0.3, 60), seed=st.integers(0, 99),
       border=st.sampled_from(["zero", "replicate"]), kind=st.sampled_from(["picture", "bytes", "floats"]))  # fmt: skip
def test_blur_equals_the_statement_of_its_cells(height, width, sigma, seed, border, kind) -> None:
    image = random_picture(seed, height, width, 3)
    image = image if kind == "picture" else image[..., 0]
    expected = reference.blur(image, sigma, border)
    if kind == "floats":
        result = native.blur(image.astype(np.float32), sigma, border=border)
        np.testing.assert_allclose(result, expected, atol=2e-3)
    else:
        # half a level of rounding, and before it one to 1/64 of a level for each tap across and down
        np.testing.assert_allclose(native.blur(image, sigma, border=border), expected, atol=0.6)


NEAR = [
    (0.7, 0.3, 0.9), (2.5, 0.3, 1), (3, 0.4, 4), (5, 0.35, 2), (6, 0.45, 5), (10, 0.4, 2.5), (12, 0.6, 6),
    (20, 0.45, 3), (40, 0.6, 4),
]  # fmt: skip


@pytest.mark.parametrize(("sigma", "mean", "most"), NEAR)
@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_blur_is_near_the_gaussian(sigma, mean, most, border) -> None:
    image = natural_picture(211, 307)
    error = np.abs(native.blur(image, sigma, border=border) - reference.gaussian(image, sigma, border))
    assert error.mean() < mean
    assert error.max() < most
    alpha = ((image[..., 0] > 150) * 255).astype(np.uint8)
    error = np.abs(native.blur(alpha, sigma, border=border) - reference.gaussian(alpha, sigma, border))
    assert error.max() < 4 * most


def test_blur_gives_the_same_bits_on_every_level(on_every_level) -> None:
    image = random_picture(2, 83, 101, 3)
    alpha = random_picture(3, 83, 101)
    for sigma in (0.8, 3.3, 9, 17, 70):
        on_every_level(lambda s=sigma: native.blur(image, s))
        on_every_level(lambda s=sigma: native.blur(alpha, s, border="zero"))
        on_every_level(lambda s=sigma: native.blur(alpha.astype(np.float32), s))
        on_every_level(lambda s=sigma: native.blend_blurred(image, alpha, s))
        on_every_level(lambda s=sigma: native.blend_blurred(image, alpha, s, masked=True))


@pytest.mark.parametrize("sigma", [0.5, 2, 3, 7, 13, 30])
def test_blur_keeps_a_flat_picture_and_may_write_over_its_input(level, sigma) -> None:
    flat = np.full((37, 41, 3), 201, np.uint8)
    np.testing.assert_array_equal(native.blur(flat, sigma), flat)
    for shape in ((1, 1, 3), (2, 3, 3), (1, 50, 3), (40, 1, 3), (65, 66, 3)):
        image = random_picture(4, *shape)
        expected = native.blur(image, sigma)
        assert native.blur(image, sigma, out=image) is image
        np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(native.blur(flat, 0), flat)


@settings(max_examples=40, deadline=None)
@given(height=sizes, width=st.integers(1, 200), seed=st.integers(0, 99))
def test_blend_equals_the_statement(height, width, seed) -> None:
    foreground, background = random_picture(seed, height, width, 3), random_picture(seed + 1, height, width, 3)
    alpha = random_picture(seed + 2, height, width)
    alpha[:, width // 3 :] = 255 * (seed % 2)
    expected = reference.blend(foreground, background, alpha)
    np.testing.assert_array_equal(native.blend(foreground, background, alpha), expected)
    for out in (foreground, background):
        before = out.copy()
        native.blend(foreground, background, alpha, out=out)
        np.testing.assert_array_equal(out, expected)
        out[...] = before


def test_blend_rounds_every_value_right(on_every_level) -> None:
    foreground, alpha = np.mgrid[:256, :256].astype(np.uint8)
    foreground = np.dstack([foreground] * 3)
    for level in (0, 1, 77, 128, 254, 255):
        background = np.full_like(foreground, level)
        result = on_every_level(lambda b=background: native.blend(foreground, b, alpha))
        np.testing.assert_array_equal(result, reference.blend(foreground, background, alpha))


def test_blend_takes_views_floats_and_one_color_for_all(level) -> None:
    image = random_picture(5, 31, 140, 3)
    alpha = np.random.default_rng(0).random((31, 140), np.float32)
    alpha[:, :70] = 1
    green = np.broadcast_to(np.broadcast_to(np.uint8([0, 200, 10]), (140, 3)).copy(), image.shape)
    expected = reference.blend(image, green, np.floor(alpha * np.float32(255) + np.float32(0.5)).astype(np.uint8))
    np.testing.assert_array_equal(native.blend(image, green, alpha), expected)
    window = np.s_[3:25, 11:100]
    frame = image.copy()
    native.blend(frame[window], green[window], alpha[window], out=frame[window])
    np.testing.assert_array_equal(frame[window], expected[window])
    frame[window] = image[window]
    np.testing.assert_array_equal(frame, image)
    flipped = native.blend(image[::-1], green[::-1], alpha[::-1])
    np.testing.assert_array_equal(flipped[::-1], expected)


@settings(max_examples=40, deadline=None)
@given(height=sizes, width=st.integers(1, 200), sigma=st.floats(0.4, 40), seed=st.integers(0, 99))
def test_one_pass_gives_the_bits_of_two(height, width, sigma, seed) -> None:
    image, alpha = random_picture(seed, height, width, 3), random_picture(seed + 1, height, width)
    alpha[:, width // 2 :] = 255 * (seed % 2)
    expected = native.blend(image, native.blur(image, sigma), alpha)
    np.testing.assert_array_equal(native.blend_blurred(image, alpha, sigma), expected)
    native.blend_blurred(image, alpha, sigma, out=image)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("sigma", [2, 6, 15])
def test_the_masked_blur_leaves_the_foreground_out(level, sigma) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    image[:] = (40, 90, 140)
    alpha = np.zeros((120, 160), np.uint8)
    alpha[30:90, 50:110] = 255
    image[alpha == 255] = (250, 5, 5)
    result = native.blend_blurred(image, alpha, sigma, masked=True)
    assert (result[alpha == 255] == (250, 5, 5)).all()
    assert np.abs(result[alpha == 0] - np.array([40.0, 90, 140])).max() <= 1
    plain = native.blend_blurred(image, alpha, sigma)
    assert np.abs(plain[alpha == 0] - np.array([40.0, 90, 140])).max() > 50

    # Anywhere else: blur(t * image) / blur(t).
    soft = random_picture(1, 120, 160)
    noise = random_picture(2, 120, 160, 3)
    weight = 255 + 1 / 64 - soft[..., None].astype(np.float64)
    blurred = reference.blur(noise * weight, sigma, "replicate") / reference.blur(weight, sigma, "replicate")
    expected = (noise * soft[..., None].astype(np.float64) + blurred * (255.0 - soft[..., None])) / 255
    # The interpolation comes after the division there and before it here.
    np.testing.assert_allclose(native.blend_blurred(noise, soft, sigma, masked=True), expected, atol=2.5)


def test_the_foreground_spreads_its_own_colors(on_every_level) -> None:
    image, alpha = random_picture(1, 60, 70, 3), random_picture(2, 60, 70)
    result = on_every_level(lambda: native.spread_foreground(image, alpha, 4))
    # The other side of the masked blur: its weights are those of the inverted alpha.
    background = native.blend_blurred(image, 255 - alpha, 4, masked=True).astype(int)
    opaque = alpha[..., None].astype(int)
    spread = (255 * background - image * (255 - opaque)) / np.maximum(opaque, 1)  # the blur itself, off by its rounding
    expected = (image * opaque + spread * (255 - opaque)) / 255
    certain = alpha > 100
    np.testing.assert_allclose(result[certain], expected[certain], atol=2.5)

    flat = np.full((60, 70, 3), (200, 100, 0), np.uint8)
    flat[:, 35:] = (0, 100, 200)
    alpha = np.where(np.arange(70) < 30, 255, 0) * np.ones((60, 1))
    result = native.spread_foreground(flat, alpha.astype(np.uint8), 5)
    assert np.abs(result[:, :40] - np.array([200.0, 100, 0])).max() <= 1


def test_join_alpha(on_every_level) -> None:
    for width in range(1, 40):
        image, alpha = random_picture(width, 3, width, 3), random_picture(width + 1, 3, width)
        result = on_every_level(lambda i=image, a=alpha: native.join_alpha(i, a))
        np.testing.assert_array_equal(result, np.dstack([image, alpha]))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_lines_equal_the_statement(data: st.DataObject) -> None:
    draw = data.draw
    count = draw(st.integers(1, 4))
    coordinate = st.floats(-60, 120, width=32) | st.integers(-10, 70).map(float)
    xyxy = np.array([[draw(coordinate) for _ in range(4)] for _ in range(count)])
    widths = np.array([draw(st.floats(0.25, 30, width=32)) for _ in range(count)])
    colors = random_picture(draw(st.integers(0, 9)), count, 3)
    image = random_picture(9, 50, 61, 3)
    expected = reference.draw_lines(image, xyxy, colors, widths)
    result = native.draw_lines(image, xyxy, colors, widths)
    assert result is image
    assert np.abs(result.astype(int) - expected).max() <= 2  # an opacity that rounds the other way, once or twice


def test_lines_give_the_same_bits_on_every_level(on_every_level) -> None:
    xyxy = np.random.default_rng(0).uniform(-50, 200, (40, 4))
    blank = np.zeros((150, 170, 3), np.uint8)
    result = on_every_level(lambda: native.draw_lines(blank.copy(), xyxy, (255, 30, 9), np.linspace(0.3, 9, 40)))
    assert np.unique(result[..., 0]).size > 50


def test_discs_have_their_area(level) -> None:
    for radius in (2.0, 7.3, 20.0):
        image = native.draw_discs(np.zeros((60, 64, 3), np.uint8), [[30.2, 29.7]], (255, 0, 0), radius)
        assert image[..., 0].sum() / 255 == pytest.approx(np.pi * radius**2, rel=0.02)
        assert not image[..., 1:].any()


def test_lines_out_of_reach_and_not_finite_leave_no_trace(level) -> None:
    image = random_picture(1, 40, 50, 3)
    before = image.copy()
    nowhere = [[np.nan, 1, 2, 3], [0, np.inf, 5, 5], [-100, -100, -50, 200], [1e30, 5, 2e30, 9], [60, 60, 60, 60]]
    native.draw_lines(image, nowhere, (1, 2, 3), 3)
    native.draw_lines(image, [[3, 3, 30, 30]], (1, 2, 3), 0)
    native.draw_lines(image, np.empty((0, 4)), (1, 2, 3), 3)
    np.testing.assert_array_equal(image, before)
    across = native.draw_lines(np.zeros((40, 50, 3), np.uint8), [[-1e7, 20, 1e7, 20]], (9, 9, 9), 1)
    assert (across[20] == 9).all()
    assert not across[:19].any()


def test_says_what_is_wrong() -> None:
    image, alpha = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8)
    with pytest.raises(ImageError, match="differ in size"):
        native.blend(image, image[1:], alpha)
    with pytest.raises(InputError, match=r"alpha must have the picture's size \(4, 5\), got \(3, 5\)"):
        native.blend(image, image, alpha[1:])
    with pytest.raises(InputError, match=r"alpha must be .* uint8 or float32"):
        native.blend_blurred(image, alpha.astype(int), 3)
    for sigma in (0, -1, 1e9, float("nan")):
        with pytest.raises(InputError, match="sigma"):
            native.blend_blurred(image, alpha, sigma)
    with pytest.raises(InputError, match="image must be"):
        native.blur(alpha.astype(float), 2)
    with pytest.raises(ImageError, match="uint8"):
        native.blur(image.astype(np.float32), 2)
    with pytest.raises(InputError, match="method"):
        native.resize(image, (2, 2), method="cubic")
    with pytest.raises(ImageError, match=r"\(H, W, 3\) or \(H, W, 4\)"):
        native.resize(image[..., :2], (2, 2))
    with pytest.raises(InputError, match=r"xyxy must be \(N, 4\)"):
        native.draw_lines(image, [[1, 2]], (0, 0, 0), 1)
    with pytest.raises(InputError, match="repeated"):
        native.draw_lines(image, [[1, 2, 3, 4]], np.zeros((2, 3)), 1)
    with pytest.raises(InputError, match=r"0\.\.255"):
        native.draw_lines(image, [[1, 2, 3, 4]], (0, 0, 256), 1)
    with pytest.raises(InputError, match="writeable"):
        native.draw_lines(np.broadcast_to(image[0], image.shape), [[1, 2, 3, 4]], (0, 0, 0), 1)

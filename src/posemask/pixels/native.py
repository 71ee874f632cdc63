"""Pixels on the CPU: our C++ kernels behind the signatures that `posemask.pixels.torch` has for the GPU.

Pictures are (H, W, 3) uint8 RGB, masks (h, w) float32. Coordinates are those of pixel indices, x right, y down, without
half a pixel: crop pixel (u, v) lies at ``image_from_crop @ (u, v, 1)`` in the picture. Inputs may be read-only and may
be views with any distance between rows, also negative; only a view whose neighbours in a row do not touch is copied.
The kernels run without the GIL and on one core, and give the same bits whatever instructions the processor has.
"""

from __future__ import annotations

import os
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import ImageError, InputError, RuntimeUnavailableError

try:
    from .. import _pixels
except ImportError as error:  # pragma: no cover - a broken installation
    raise RuntimeUnavailableError(
        "posemask's native kernels (posemask._pixels) cannot be loaded: install a wheel for this platform, or a C++ "
        f"compiler and `pip install --force-reinstall --no-binary posemask posemask` ({error})"
    ) from error

__all__ = [
    "blend",
    "blend_blurred",
    "blend_masks",
    "blur",
    "crop",
    "draw_discs",
    "draw_lines",
    "join_alpha",
    "label_parts",
    "paste",
    "refine_heatmap",
    "resize",
    "sigmoid",
    "spread_foreground",
]

Border = Literal["zero", "replicate"]
AnyArray: TypeAlias = npt.NDArray[Any]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]
Map: TypeAlias = npt.NDArray[np.float64]

_UINT8, _FLOAT32, _BOOL = np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.bool_)

_asked = os.environ.get("POSEMASK_ISA")  # empty: as if it were not there, as for the engine
if _asked and not _pixels.select_level(_asked):
    raise RuntimeUnavailableError(
        f"POSEMASK_ISA names instructions that this machine can run, one of {', '.join(_pixels.levels())}; "
        f"got {_asked!r}"
    )


def crop(
    image: AnyArray,
    image_from_crop: npt.ArrayLike,
    size_hw: tuple[int, int],
    *,
    border: Border = "zero",
    scale: float = 1 / 255,
    offset: float = 0.0,
    out: AnyArray | None = None,
) -> AnyArray:
    """Cut a turned, scaled rectangle out of a picture with the reference's arithmetic.

    It is that of OpenCV 4's ``warpPerspective`` for uint8 and bilinear sampling, as MediaPipe calls it: the matrix
    comes from the crop's corners in float32, coordinates are rounded to 1/32 pixel, weights are whole numbers, a value
    is rounded to uint8, and only then becomes ``value * scale + offset``.

    Args:
        image: (H, W, 3) uint8.
        image_from_crop: (2, 3), float64.
        size_hw: height and width of the crop.
        border: what lies outside the picture, black ("zero") or its nearest edge ("replicate").
        scale, offset: applied in float32 to the value in 0..255.
        out: (h, w, 3) float32 to write to, or uint8 for the values themselves (scale and offset are then not applied).

    Returns:
        `out`, or a new (h, w, 3) float32 array.

    Raises:
        ImageError: the image is not (H, W, 3) uint8, or has no pixels.
        InputError: another argument cannot be used.
    """
    image = _at_least(_picture(image, "image"), 2, 3, border)
    transform = _affine(image_from_crop)
    out = _output(out, (*_size(size_hw), 3), _FLOAT32, _UINT8)
    if out.dtype == _UINT8:
        _pixels.crop_u8(image, transform, _replicates(border), out)
    else:
        _pixels.crop_f32(image, transform, _replicates(border), scale, offset, out)
    return out


def paste(
    mask: AnyArray,
    image_from_crop: npt.ArrayLike,
    size_hw: tuple[int, int],
    *,
    border: Border = "zero",
    out: AnyArray | None = None,
) -> AnyArray:
    """Sample a mask of the crop at every pixel of the picture: bilinear, in float, without half a pixel.

    Picture pixel (x, y) gets the mask's value at ``inverse(image_from_crop) @ (x, y, 1)``. A mask is enlarged the way
    ``cv2.resize`` does it with ``border="replicate"`` and a transform that carries the half pixel: scale s and
    translation (s - 1) / 2 on each axis.

    Args:
        mask: (h, w) float32.
        image_from_crop: (2, 3), float64, invertible.
        size_hw: height and width of the picture.
        border: what lies outside the crop, 0 ("zero") or its nearest edge ("replicate").
        out: (H, W) float32 to write to, or uint8 for round(255 * value) clipped to 0..255, or bool for value > 0.5.

    Returns:
        `out`, or a new (H, W) float32 array.

    Raises:
        InputError: an argument cannot be used.
    """
    mask = _at_least(_plane(mask, "mask", _FLOAT32), 2, 2, border)
    crop_from_image = _inverse(_affine(image_from_crop))
    out = _output(out, _size(size_hw), _FLOAT32, _UINT8, _BOOL)
    run = _pixels.paste_u8 if out.dtype == _UINT8 else _pixels.paste_bool if out.dtype == _BOOL else _pixels.paste_f32
    run(mask, crop_from_image, _replicates(border), out)
    return out


def resize(
    image: AnyArray,
    size_hw: tuple[int, int],
    *,
    method: Literal["linear", "area"] = "linear",
    out: AnyArray | None = None,
) -> AnyArray:
    """Resample a picture or a mask to another size; both grids cover the same area (half-pixel centres).

    Args:
        image: (H, W, 3) or (H, W, 4) uint8, or (H, W) uint8 or float32.
        size_hw: the new height and width.
        method: "linear" interpolates between the nearest pixels, with the edge repeated, as ``cv2.resize`` does; "area"
            is the mean over what a new pixel covers, and linear along an axis that is enlarged.
        out: array of the new size and the image's type to write to.

    Returns:
        `out`, or a new array.

    Raises:
        ImageError: the image is none of these.
        InputError: another argument cannot be used.
    """
    if method not in ("linear", "area"):
        raise InputError(f'method must be "linear" or "area", got {method!r}')
    picture = isinstance(image, np.ndarray) and image.ndim == 3
    array: AnyArray = _picture(image, "image", (3, 4)) if picture else _plane(image, "image", _UINT8, _FLOAT32)
    out = _output(out, (*_size(size_hw), *array.shape[2:]), array.dtype)
    run = _pixels.resize_picture if picture else _pixels.resize_u8 if array.dtype == _UINT8 else _pixels.resize_f32
    run(array, method == "area", out)
    return out


def blur(image: AnyArray, sigma: float, *, border: Border = "replicate", out: AnyArray | None = None) -> AnyArray:
    """Blur a picture or a mask with a Gaussian.

    From sigma = 3 on, pixels are averaged over cells of 2, 4, 8 or 16 pixels first and the blurred cells interpolated
    linearly: on photographs that is 0.25 to 0.6 levels of 255 from the exact Gaussian on average, and 5 at the worst
    pixel (docs/performance-pixels.md). Taps beyond 3 sigma are left out.

    Args:
        image: (H, W, 3) uint8, or (H, W) uint8 or float32.
        sigma: standard deviation in pixels; 0 copies.
        border: what lies outside the picture, black ("zero") or its nearest edge ("replicate").
        out: array like the image to write to; may be the image itself.

    Returns:
        `out`, or a new array like the image.

    Raises:
        ImageError: the image is none of these.
        InputError: another argument cannot be used.
    """
    picture = isinstance(image, np.ndarray) and image.ndim == 3
    array: AnyArray = _picture(image, "image") if picture else _plane(image, "image", _UINT8, _FLOAT32)
    out = _output(out, array.shape, array.dtype)
    replicate = _replicates(border)
    if sigma == 0:
        np.copyto(out, array)
        return out
    _check_sigma(sigma)
    run = _pixels.blur_picture if picture else _pixels.blur_u8 if array.dtype == _UINT8 else _pixels.blur_f32
    run(array, sigma, replicate, out)
    return out


def blend(foreground: AnyArray, background: AnyArray, alpha: AnyArray, *, out: AnyArray | None = None) -> AnyArray:
    """Lay one picture over another: round((foreground * a + background * (255 - a)) / 255), halves up.

    Args:
        foreground, background: (H, W, 3) uint8. Rows may be repeated, as ``np.broadcast_to`` does it.
        alpha: (H, W) uint8, or float32 which is first rounded to 255ths.
        out: (H, W, 3) uint8 to write to; may be the foreground or the background, whose pixels are then left alone
            where alpha is 255 or 0.

    Returns:
        `out`, or a new (H, W, 3) uint8 array.

    Raises:
        ImageError: a picture is not (H, W, 3) uint8, or the sizes differ.
        InputError: another argument cannot be used.
    """
    foreground, background = _picture(foreground, "foreground"), _picture(background, "background")
    if foreground.shape != background.shape:
        raise ImageError(f"foreground and background differ in size: {foreground.shape} and {background.shape}")
    alpha = _alpha(alpha, foreground.shape)
    out = _output(out, foreground.shape, _UINT8)
    _pixels.blend(foreground, background, alpha, out)
    return out


def blend_blurred(
    image: AnyArray, alpha: AnyArray, sigma: float, *, masked: bool = False, out: AnyArray | None = None
) -> AnyArray:
    """Lay a picture over its own blur: the same bits as ``blend(image, blur(image, sigma), alpha)``, in one pass.

    Args:
        image: (H, W, 3) uint8.
        alpha: (H, W) uint8, or float32 which is first rounded to 255ths: how opaque the foreground is.
        sigma: standard deviation of the blur in pixels, greater than 0.
        masked: leave the foreground out of the blur, so that it does not bleed into the background around it: pixels
            weigh 255 - alpha, and the weights are divided out.
        out: (H, W, 3) uint8 to write to; may be the image.

    Returns:
        `out`, or a new (H, W, 3) uint8 array.

    Raises:
        ImageError: the image is not (H, W, 3) uint8.
        InputError: another argument cannot be used.
    """
    side = _pixels.Side.background if masked else _pixels.Side.both
    return _blend_blurred(image, alpha, sigma, side, out)


def spread_foreground(image: AnyArray, alpha: AnyArray, sigma: float, *, out: AnyArray | None = None) -> AnyArray:
    """Give the rim of the foreground, and what is around it, the foreground's own colours.

    Where alpha is less than 255, a pixel is mixed of the old background, too; laid over a new one, that is seen as a
    seam. Here it is mixed with the mean of what is foreground under a Gaussian around it instead: pixels weigh alpha,
    and the weights are divided out.

    Args:
        image: (H, W, 3) uint8.
        alpha: (H, W) uint8, or float32 which is first rounded to 255ths: how opaque the foreground is.
        sigma: standard deviation of the Gaussian in pixels, greater than 0.
        out: (H, W, 3) uint8 to write to; may be the image.

    Returns:
        `out`, or a new (H, W, 3) uint8 array: the image where alpha is 255, the mean where it is 0.

    Raises:
        ImageError: the image is not (H, W, 3) uint8.
        InputError: another argument cannot be used.
    """
    return _blend_blurred(image, alpha, sigma, _pixels.Side.foreground, out)


def _blend_blurred(
    image: AnyArray, alpha: AnyArray, sigma: float, side: _pixels.Side, out: AnyArray | None
) -> AnyArray:
    image = _picture(image, "image")
    alpha = _alpha(alpha, image.shape)
    _check_sigma(sigma)
    out = _output(out, image.shape, _UINT8)
    _pixels.blend_blurred(image, alpha, sigma, side, out)
    return out


def join_alpha(image: AnyArray, alpha: AnyArray, *, out: AnyArray | None = None) -> AnyArray:
    """RGB (H, W, 3) uint8 and alpha (H, W), uint8 or float32, as RGBA (H, W, 4) uint8, not premultiplied."""
    image = _picture(image, "image")
    alpha = _alpha(alpha, image.shape)
    out = _output(out, (*image.shape[:2], 4), _UINT8)
    _pixels.join_alpha(image, alpha, out)
    return out


def sigmoid(logits: AnyArray, *, out: AnyArray | None = None) -> AnyArray:
    """1 / (1 + exp(-x)) of a float32 array of any shape, within 3e-7; `out` may be the input itself."""
    logits = np.ascontiguousarray(logits, np.float32)
    out = _contiguous_output(out, logits)
    _pixels.sigmoid(logits, out)
    return out


def blend_masks(current: AnyArray, previous: AnyArray, *, ratio: float = 0.7, out: AnyArray | None = None) -> AnyArray:
    """Mix the mask before into a new one where the new one is unsure: `posemask.numbers.filters.blend_masks`.

    Args:
        current, previous: float32 probabilities of the same shape.
        ratio: how much of the mask before to take where the new one knows nothing.
        out: array like them to write to; may be one of them.
    """
    current, previous = np.ascontiguousarray(current, np.float32), np.ascontiguousarray(previous, np.float32)
    if current.shape != previous.shape:
        raise InputError(f"the masks differ in shape: {current.shape} and {previous.shape}")
    out = _contiguous_output(out, current)
    _pixels.blend_masks(current, previous, ratio, out)
    return out


def refine_heatmap(
    landmarks: AnyArray, heatmap: AnyArray, *, kernel: int = 7, min_confidence: float = 0.5, crop_size: int = 256
) -> Floats:
    """Move each landmark to the centre of mass of its heat map around it.

    `posemask.numbers.landmarks.refine_landmarks` says how; this works on the network's raw outputs.

    Args:
        landmarks: K * 5 float32 values of any shape: x, y (pixels of the crop) and three more for each landmark.
        heatmap: (h, w, K) float32 logits, or (1, h, w, K).
        kernel: side of the window in cells, odd.
        min_confidence: a landmark whose window nowhere reaches this probability stays.
        crop_size: side of the crop in pixels, which the heat map covers.

    Returns:
        (K, 2) float32, pixels of the crop.
    """
    landmarks, heatmap = np.ascontiguousarray(landmarks, np.float32), np.ascontiguousarray(heatmap, np.float32)
    if heatmap.ndim == 4 and heatmap.shape[0] == 1:
        heatmap = heatmap[0]
    if heatmap.ndim != 3 or landmarks.size != 5 * heatmap.shape[-1]:
        raise InputError(
            f"expected 5 K landmark values and a (h, w, K) heat map, got {landmarks.shape} and {heatmap.shape}"
        )
    if kernel % 2 == 0 or not 1 <= kernel <= _pixels.max_window:
        raise InputError(f"kernel must be an odd number of at most {_pixels.max_window}, got {kernel!r}")
    xy = np.empty((heatmap.shape[2], 2), np.float32)
    _pixels.refine(landmarks, heatmap, kernel, crop_size, min_confidence, xy)
    return xy


def label_parts(person: AnyArray, bones: AnyArray, nobody: int, *, out: AnyArray | None = None) -> Bytes:
    """The part of the body that each pixel of a person is: the same bits as `posemask.numbers.parts.label_points`.

    Args:
        person: (H, W) bool.
        bones: (B, 19) float32, the person's in pixels of this array, as `posemask.numbers.parts.capsules` gives them.
        nobody: label of what is not the person's, in 0..255.
        out: (H, W) uint8 to write to.

    Returns:
        `out`, or a new (H, W) uint8 array.

    Raises:
        InputError: an argument cannot be used.
    """
    person = _plane(person, "person", _BOOL)
    bones = np.ascontiguousarray(bones, np.float32)
    if bones.ndim != 2 or bones.shape[1] != _pixels.bone_columns or not 1 <= len(bones) <= _pixels.max_bones:
        raise InputError(
            f"bones must be (1 to {_pixels.max_bones}, {_pixels.bone_columns}), as capsules() gives them, "
            f"got {bones.shape}"
        )
    if not 0 <= nobody <= 255:
        raise InputError(f"nobody must be in 0..255, got {nobody!r}")
    out = _output(out, person.shape, _UINT8)
    _pixels.label_parts(person, bones, nobody, out)
    return out


def draw_lines(image: AnyArray, xyxy: npt.ArrayLike, colors: npt.ArrayLike, widths: npt.ArrayLike) -> AnyArray:
    """Draw smooth lines with round ends into a picture.

    Args:
        image: (H, W, 3) uint8, writeable, rows contiguous; is drawn on.
        xyxy: (N, 4), both ends of each line in pixels. A line with an end that is not finite is left out.
        colors: (N, 3) or (3,), values in 0..255, in the picture's order.
        widths: (N,) or one number, in pixels.

    Returns:
        The image.
    """
    _output(image, _picture(image, "image").shape, _UINT8)
    ends = np.ascontiguousarray(xyxy, np.float32)
    if ends.ndim != 2 or ends.shape[1] != 4:
        raise InputError(f"xyxy must be (N, 4), got {ends.shape}")
    palette = np.asarray(colors)
    if palette.size and not (palette.min() >= 0 and palette.max() <= 255):
        raise InputError(f"colors must be in 0..255, got {palette.min()} to {palette.max()}")
    if len(ends):
        palette = _repeated(palette, (len(ends), 3), np.uint8)
        _pixels.draw_lines(image, ends, palette, _repeated(widths, len(ends), np.float32))
    return image


def draw_discs(image: AnyArray, xy: npt.ArrayLike, colors: npt.ArrayLike, radii: npt.ArrayLike) -> AnyArray:
    """Draw smooth discs into a picture: `draw_lines` of no length.

    Args:
        image: (H, W, 3) uint8, writeable, rows contiguous; is drawn on.
        xy: (N, 2), the centres in pixels. A disc whose centre is not finite is left out.
        colors: (N, 3) or (3,), values in 0..255, in the picture's order.
        radii: (N,) or one number, in pixels.

    Returns:
        The image.
    """
    centres = np.asarray(xy, np.float32)
    if centres.ndim != 2 or centres.shape[1] != 2:
        raise InputError(f"xy must be (N, 2), got {centres.shape}")
    return draw_lines(image, np.concatenate([centres, centres], axis=1), colors, 2 * np.asarray(radii, np.float32))


def _picture(image: AnyArray, name: str, channels: tuple[int, ...] = (3,)) -> Bytes:
    if (
        not isinstance(image, np.ndarray)
        or image.ndim != 3
        or image.shape[2] not in channels
        or image.dtype != _UINT8
        or not image.size
    ):
        wanted = " or ".join(f"(H, W, {count})" for count in channels)
        raise ImageError(f"{name} must be a {wanted} uint8 numpy array that is not empty, got {_describe(image)}")
    return image if image.strides[1:] == (image.shape[2], 1) else np.ascontiguousarray(image)


def _plane(array: AnyArray, name: str, *dtypes: np.dtype[Any]) -> AnyArray:
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype not in dtypes or 0 in array.shape:
        raise InputError(
            f"{name} must be a (H, W) numpy array of {_names(dtypes)} that is not empty, got {_describe(array)}"
        )
    size = array.itemsize
    return array if array.strides[1] == size and array.strides[0] % size == 0 else np.ascontiguousarray(array)


def _alpha(alpha: AnyArray, shape: tuple[int, ...]) -> Bytes:
    alpha = _plane(alpha, "alpha", _UINT8, _FLOAT32)
    if alpha.shape != shape[:2]:
        raise InputError(f"alpha must have the picture's size {shape[:2]}, got {alpha.shape}")
    if alpha.dtype == _UINT8:
        return alpha
    values = np.empty(alpha.shape, np.uint8)
    _pixels.to_bytes(np.ascontiguousarray(alpha), values)
    return values


def _at_least(array: AnyArray, height: int, width: int, border: Border) -> AnyArray:
    """The kernels read pairs of rows and columns: repeat the edge, or add black, where there are fewer."""
    rows, columns = max(0, height - array.shape[0]), max(0, width - array.shape[1])
    if not rows and not columns:
        return array
    around = ((0, rows), (0, columns), *(((0, 0),) * (array.ndim - 2)))
    return np.pad(array, around, mode="edge" if _replicates(border) else "constant")


def _replicates(border: Border) -> bool:
    if border not in ("zero", "replicate"):
        raise InputError(f'border must be "zero" or "replicate", got {border!r}')
    return border == "replicate"


def _check_sigma(sigma: float) -> None:
    if not 0 < sigma <= _pixels.max_sigma:
        raise InputError(f"sigma must be greater than 0 and at most {_pixels.max_sigma:g} pixels, got {sigma!r}")


def _affine(transform: npt.ArrayLike) -> Map:
    values = np.ascontiguousarray(transform, np.float64)
    if values.shape != (2, 3) or not np.isfinite(values).all():
        raise InputError(f"image_from_crop must be a (2, 3) array of finite numbers, got {values.tolist()}")
    return values


def _inverse(transform: Map) -> Map:
    (a, b, c), (d, e, f) = transform.tolist()
    determinant = a * e - b * d
    if determinant == 0:
        raise InputError(f"image_from_crop cannot be inverted: {transform.tolist()}")
    inverse: Map = np.array([[e, -b, b * f - c * e], [-d, a, c * d - a * f]]) / determinant
    return inverse


def _size(size_hw: tuple[int, int]) -> tuple[int, int]:
    height, width = (int(side) for side in size_hw)
    if height < 1 or width < 1 or height * width >= 2**31:
        raise InputError(f"size_hw must be a height and a width of at least 1 pixel, got {size_hw}")
    return height, width


def _output(out: AnyArray | None, shape: tuple[int, ...], *dtypes: np.dtype[Any]) -> AnyArray:
    """The caller's array if it can be written to row by row, or a new one of the first type."""
    if out is None:
        return np.empty(shape, dtypes[0])
    if (
        not isinstance(out, np.ndarray)
        or out.shape != shape
        or out.dtype not in dtypes
        or not out.flags.writeable
        or not out[:1].flags.c_contiguous
        or out.strides[0] % out.itemsize
    ):
        raise InputError(
            f"out must be a writeable {shape} array of {_names(dtypes)} whose rows are contiguous, got {_describe(out)}"
        )
    return out


def _contiguous_output(out: AnyArray | None, like: AnyArray) -> AnyArray:
    if out is None:
        return np.empty_like(like)
    if (
        not isinstance(out, np.ndarray)
        or out.shape != like.shape
        or out.dtype != like.dtype
        or not out.flags.c_contiguous
        or not out.flags.writeable
    ):
        raise InputError(
            f"out must be a writeable, contiguous {like.dtype} array of shape {like.shape}, got {_describe(out)}"
        )
    return out


def _repeated(values: npt.ArrayLike, shape: int | tuple[int, ...], dtype: type[np.generic]) -> AnyArray:
    """One value for all, or one each."""
    try:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(values), shape), dtype)
    except ValueError as error:
        raise InputError(
            f"expected values that can be repeated to the shape {shape}, got {np.shape(values)}"
        ) from error


def _names(dtypes: tuple[np.dtype[Any], ...]) -> str:
    return " or ".join(dtype.name for dtype in dtypes)


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}, strides {value.strides}"
    return type(value).__name__

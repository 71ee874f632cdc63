"""Pixels on the CPU: our C++ kernels behind the signatures that `posemask.pixels.torch` has for the GPU.

Pictures are (H, W, 3) uint8 RGB, masks (h, w) float32. Coordinates are those of pixel indices, x right, y down, without half a pixel:
crop pixel (u, v) lies at ``image_from_crop @ (u, v, 1)`` in the picture. Inputs may be read-only and may be views with any distance
between rows, also negative; only a view whose neighbours in a row do not touch is copied. The kernels run without the GIL and on one
core, and give the same bits whatever instructions the processor has.
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
        "posemask's native kernels (posemask._pixels) cannot be loaded: install a wheel for this platform, or a C++ compiler "
        f"and `pip install --force-reinstall --no-binary posemask posemask` ({error})"
    ) from error

__all__ = ["crop", "paste", "sigmoid"]

Border = Literal["zero", "replicate"]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

if "POSEMASK_ISA" in os.environ and not _pixels.select_level(os.environ["POSEMASK_ISA"]):
    raise RuntimeUnavailableError(
        f"POSEMASK_ISA names instructions that this machine can run, one of {', '.join(_pixels.levels())}; "
        f"got {os.environ['POSEMASK_ISA']!r}"
    )


def crop(
    image: npt.NDArray[Any],
    image_from_crop: npt.ArrayLike,
    size_hw: tuple[int, int],
    *,
    border: Border = "zero",
    scale: float = 1 / 255,
    offset: float = 0.0,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Cut a turned, scaled rectangle out of a picture with the reference's arithmetic.

    The arithmetic is that of OpenCV 4's ``warpPerspective`` for uint8 and bilinear sampling, which MediaPipe uses: coordinates rounded
    to 1/32 pixel, weights that are whole numbers, a value rounded to uint8, and only then ``value * scale + offset``.

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
    transform = _affine(image_from_crop, "image_from_crop")
    shape = (*_size(size_hw), 3)
    if out is None:
        out = np.empty(shape, np.float32)
    _check_out(out, shape, (np.float32, np.uint8))
    if out.dtype == np.uint8:
        _pixels.crop_u8(image, transform, _replicates(border), out)
    else:
        _pixels.crop_f32(image, transform, _replicates(border), scale, offset, out)
    return out


def paste(
    mask: npt.NDArray[Any],
    image_from_crop: npt.ArrayLike,
    size_hw: tuple[int, int],
    *,
    border: Border = "zero",
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Sample a mask of the crop at every pixel of the picture: bilinear, in float, without half a pixel.

    Picture pixel (x, y) gets the mask's value at ``inverse(image_from_crop) @ (x, y, 1)``. A mask is enlarged the way
    ``cv2.resize`` does it with ``border="replicate"`` and a transform that carries the half pixel: scale s and translation
    (s - 1) / 2 on each axis.

    Args:
        mask: (h, w) float32.
        image_from_crop: (2, 3), float64, invertible.
        size_hw: height and width of the picture.
        border: what lies outside the crop, 0 ("zero") or its nearest edge ("replicate").
        out: (H, W) float32 to write to, or uint8 for round(255 * value).

    Returns:
        `out`, or a new (H, W) float32 array.

    Raises:
        InputError: an argument cannot be used.
    """
    mask = _at_least(_plane(mask, "mask"), 2, 2, border)
    crop_from_image = _inverse(_affine(image_from_crop, "image_from_crop"))
    shape = _size(size_hw)
    if out is None:
        out = np.empty(shape, np.float32)
    _check_out(out, shape, (np.float32, np.uint8))
    run = _pixels.paste_u8 if out.dtype == np.uint8 else _pixels.paste_f32
    run(mask, crop_from_image, _replicates(border), out)
    return out


def sigmoid(logits: npt.NDArray[Any], *, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """1 / (1 + exp(-x)) of a float32 array of any shape, within 3e-7; `out` may be the input itself."""
    logits = np.ascontiguousarray(logits, np.float32)
    if out is None:
        out = np.empty_like(logits)
    if out.shape != logits.shape or out.dtype != np.float32 or not out.flags.c_contiguous or not out.flags.writeable:
        raise InputError(f"out must be a writeable, contiguous float32 array of shape {logits.shape}")
    _pixels.sigmoid(logits, out)
    return out


def _picture(image: npt.NDArray[Any], name: str) -> Bytes:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ImageError(f"{name} must be a (H, W, 3) uint8 numpy array, got {_describe(image)}")
    if 0 in image.shape:
        raise ImageError(f"{name} has no pixels: its shape is {image.shape}")
    return image if image.strides[1:] == (3, 1) else np.ascontiguousarray(image)


def _plane(array: npt.NDArray[Any], name: str) -> Floats:
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32 or 0 in array.shape:
        raise InputError(f"{name} must be a (h, w) float32 numpy array that is not empty, got {_describe(array)}")
    return array if array.strides[1] == 4 and array.strides[0] % 4 == 0 else np.ascontiguousarray(array)


def _at_least(array: npt.NDArray[Any], height: int, width: int, border: Border) -> npt.NDArray[Any]:
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


def _affine(transform: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    values = np.ascontiguousarray(transform, np.float64)
    if values.shape != (2, 3) or not np.isfinite(values).all():
        raise InputError(f"{name} must be a (2, 3) array of finite numbers, got {values.tolist()}")
    return values


def _inverse(transform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    (a, b, c), (d, e, f) = transform.tolist()
    determinant = a * e - b * d
    if determinant == 0:
        raise InputError(f"image_from_crop cannot be inverted: {transform.tolist()}")
    return (
        np.array(
            [[e, -b, b * f - c * e], [-d, a, c * d - a * f]],
        )
        / determinant
    )


def _size(size_hw: tuple[int, int]) -> tuple[int, int]:
    height, width = (int(side) for side in size_hw)
    if height < 1 or width < 1 or height * width >= 2**31:
        raise InputError(f"size_hw must be a height and a width of at least 1 pixel, got {size_hw}")
    return height, width


def _check_out(out: npt.NDArray[Any], shape: tuple[int, ...], dtypes: tuple[type[np.generic], ...]) -> None:
    packed = np.empty(shape[1:], out.dtype).strides if isinstance(out, np.ndarray) else ()
    if (
        not isinstance(out, np.ndarray)
        or out.shape != shape
        or out.dtype not in dtypes
        or out.strides[1:] != packed
        or out.strides[0] % out.itemsize
        or not out.flags.writeable
    ):
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise InputError(
            f"out must be a writeable {shape} {names} array whose rows are contiguous, got {_describe(out)}"
        )


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}, strides {value.strides}"
    return type(value).__name__

"""What the effects ask of their arguments, in words; inside the room everything is trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ImageError, InputError
from ..results import Frame, Segmentation

__all__ = ["check_color", "check_edge", "check_image", "check_mask_image", "check_number", "check_segmentations"]

Image = npt.NDArray[np.uint8]


def check_image(image: Any) -> Image:
    """The picture as it came, or a frame's, if it is (H, W, 3) uint8; else `ImageError`."""
    pixels = image.image if isinstance(image, Frame) else image
    return _check_pixels(pixels, 3, "a picture", "RGB; posemask.read_image reads files into this form")


def check_mask_image(mask_image: Any, size_hw: tuple[int, int]) -> Image:
    """The mask picture as it came, if it is (H, W, 4) uint8 of the image's size; else `ImageError`."""
    checked = _check_pixels(mask_image, 4, "a mask picture", "RGBA, as to_binary_mask and to_colored_mask give it")
    if checked.shape[:2] != size_hw:
        raise ImageError(
            f"dimensions must match: the image is {_size(size_hw)}, the mask is {_size(checked.shape[:2])} (H x W)"
        )
    return checked


def _check_pixels(pixels: Any, channels: int, what: str, form: str) -> Image:
    is_array = isinstance(pixels, np.ndarray)
    if not is_array or pixels.ndim != 3 or pixels.shape[2] != channels or pixels.dtype != np.uint8:
        got = f"{pixels.shape} of {pixels.dtype}" if is_array else type(pixels).__name__
        raise ImageError(f"{what} is a numpy array (H, W, {channels}) of uint8, {form}; got {got}")
    if 0 in pixels.shape:
        raise ImageError(f"{what} needs at least one pixel, got {_size(pixels.shape[:2])} (H x W)")
    checked: Image = pixels
    return checked


def check_segmentations(segmentation: Any, size_hw: tuple[int, int] | None = None) -> tuple[Segmentation, ...]:
    """One segmentation or several as a tuple; all of one size, the image's if that is given. Else `InputError`."""
    given = (segmentation,) if isinstance(segmentation, Segmentation) else segmentation
    if not isinstance(given, Sequence) or not all(isinstance(one, Segmentation) for one in given):
        names = [type(one).__name__ for one in given[:3]] if isinstance(given, Sequence) else type(given).__name__
        raise InputError(f"expected a Segmentation or a sequence of them (a pose's is pose.segmentation), got {names}")
    for one in given:
        expected = given[0].mask.size_hw if size_hw is None else size_hw
        if tuple(one.mask.size_hw) != tuple(expected):
            raise InputError(
                f"dimensions must match: expected a mask of {_size(expected)} (H x W), got {_size(one.mask.size_hw)}; "
                "masks belong to the picture that they were made from"
            )
    return tuple(given)


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """The number as a float if it lies in [low, high]; else `InputError`."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise InputError(f"{name} is a number in [{low:g}, {high:g}], got {value!r}")
    return number


def check_edge(edge: Any) -> tuple[float, float]:
    """Two probabilities that do not fall; else `InputError`."""
    try:
        low, high = (check_number("edge", value, 0, 1) for value in edge)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if low > high:
        raise InputError(f"edge is two probabilities in [0, 1], the first not above the second; got {edge!r}")
    return low, high


def check_color(name: str, color: Any) -> tuple[int, int, int, int]:
    """Red, green, blue and alpha in [0, 255]; alpha is 255 if only three are given. Else `InputError`."""
    try:
        values = tuple(int(value) for value in color)
        whole = all(value == given for value, given in zip(values, color, strict=True))
    except (TypeError, ValueError):
        values, whole = (), False
    if not whole or len(values) not in (3, 4) or not all(0 <= value <= 255 for value in values):
        raise InputError(f"{name} is (red, green, blue) or (red, green, blue, alpha), integers 0-255; got {color!r}")
    red, green, blue, alpha = (*values, 255)[:4]
    return red, green, blue, alpha


def _size(size_hw: Sequence[int]) -> str:
    return f"{size_hw[0]} x {size_hw[1]}"

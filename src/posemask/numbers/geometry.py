"""Regions of interest and the affine maps between a crop and the image it was cut from.

A *roi* is a row (centre x, centre y, size, rotation): a square of ``size`` pixels whose upright
points along ``rotation`` radians, clockwise on the screen. An affine map is a (2, 3) matrix named by
both frames: ``image_from_crop @ (u, v, 1)`` is where crop pixel (u, v) lies in the image. Both frames
count pixel centres from (0, 0), without a half-pixel shift, as MediaPipe does on the CPU.

All functions take any number of leading axes. Formulas: MediaPipe's AlignmentPointsRectsCalculator,
RectTransformationCalculator and ImageToTensorCalculator.
"""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import array_namespace

from ..results import Array

__all__ = [
    "apply_affine",
    "compose_affine",
    "image_from_crop",
    "image_from_resized",
    "invert_affine",
    "letterbox_roi",
    "mirror_x",
    "roi_from_points",
    "rotate_world",
]


def roi_from_points(center_xy: Array, scale_xy: Array, *, scale: float = 1.25) -> Array:
    """The square around ``center_xy`` that reaches out to ``scale_xy``, enlarged by ``scale``.

    Args:
        center_xy, scale_xy: (..., 2) pixels. The line from the first to the second is the body's "up".
        scale: 1.25 for the crop that the landmark network sees, 1 for the size of the person itself.

    Returns:
        (..., 4) roi; the rotation is in [-pi, pi).
    """
    xp = array_namespace(center_xy)
    delta = scale_xy - center_xy
    dx, dy = delta[..., 0], delta[..., 1]
    size = 2.0 * scale * xp.sqrt(dx * dx + dy * dy)
    rotation = math.pi / 2 - xp.atan2(-dy, dx)
    rotation = rotation - 2 * math.pi * xp.floor((rotation + math.pi) / (2 * math.pi))
    return xp.stack([center_xy[..., 0], center_xy[..., 1], size, rotation], axis=-1)


def letterbox_roi(size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """The roi that holds a whole image of ``size_hw`` in its centre, as the detector sees it."""
    height, width = size_hw
    return width / 2, height / 2, float(max(height, width)), 0.0


def image_from_crop(roi: Array, crop_size: int) -> Array:
    """The (..., 2, 3) map from a square crop of ``crop_size`` pixels into the image, for (..., 4) rois."""
    xp = array_namespace(roi)
    step = roi[..., 2] / crop_size
    half = 0.5 * roi[..., 2]
    cos, sin = xp.cos(roi[..., 3]), xp.sin(roi[..., 3])
    return _affine(
        xp,
        step * cos, -step * sin, roi[..., 0] - half * (cos - sin),
        step * sin, step * cos, roi[..., 1] - half * (sin + cos),
    )  # fmt: skip


def _affine(xp: Any, *elements: Array) -> Array:
    """The (..., 2, 3) matrix of six (...,) elements, row by row; one `stack`, which costs more than the arithmetic."""
    return xp.reshape(xp.stack(elements, axis=-1), (*elements[0].shape, 2, 3))


def image_from_resized(size_hw: tuple[int, int], resized_hw: tuple[int, int], *, half_pixel: bool) -> list[list[float]]:
    """The 2 x 3 map from an image stretched to ``resized_hw`` into the image, as nested lists.

    With ``half_pixel`` both grids cover the same area (how masks are enlarged); without it both start at
    the same pixel centre (how MediaPipe's CPU path fills a network's input).
    """
    scale_y, scale_x = size_hw[0] / resized_hw[0], size_hw[1] / resized_hw[1]
    shift_x, shift_y = (0.5 * scale_x - 0.5, 0.5 * scale_y - 0.5) if half_pixel else (0.0, 0.0)
    return [[scale_x, 0.0, shift_x], [0.0, scale_y, shift_y]]


def apply_affine(target_from_source: Array, xy: Array) -> Array:
    """Maps (..., N, 2) points of the source frame by (..., 2, 3) into the target frame."""
    xp = array_namespace(xy)
    matrix = target_from_source[..., None, :, :]
    x, y = xy[..., 0], xy[..., 1]
    return xp.stack(
        [
            matrix[..., 0, 0] * x + matrix[..., 0, 1] * y + matrix[..., 0, 2],
            matrix[..., 1, 0] * x + matrix[..., 1, 1] * y + matrix[..., 1, 2],
        ],
        axis=-1,
    )


def invert_affine(target_from_source: Array) -> Array:
    """The (..., 2, 3) map back: ``source_from_target``."""
    xp = array_namespace(target_from_source)
    m = target_from_source
    a, b, c = m[..., 0, 0], m[..., 0, 1], m[..., 0, 2]
    d, e, f = m[..., 1, 0], m[..., 1, 1], m[..., 1, 2]
    determinant = a * e - b * d
    return _affine(xp, e, -b, b * f - e * c, -d, a, d * c - a * f) / determinant[..., None, None]


def compose_affine(target_from_middle: Array, middle_from_source: Array) -> Array:
    """The (..., 2, 3) map that does ``middle_from_source`` first: ``target_from_source``."""
    xp = array_namespace(target_from_middle)
    linear = target_from_middle[..., :, :2]
    product = xp.matmul(linear, middle_from_source)
    shift = xp.concat([xp.zeros_like(linear), target_from_middle[..., :, 2:]], axis=-1)
    return product + shift


def mirror_x(image_from_crop: Array, width: int) -> Array:
    """The same map into the image mirrored left to right: x becomes width - 1 - x."""
    xp = array_namespace(image_from_crop)
    row_x, row_y = -image_from_crop[..., 0, :], image_from_crop[..., 1, :]
    shift = xp.asarray([0.0, 0.0, width - 1.0], dtype=row_x.dtype)
    return xp.stack([row_x + shift, row_y], axis=-2)


def rotate_world(world: Array, rotation: Array) -> Array:
    """Turns (..., N, 3) metres of the crop by the roi's ``rotation`` (...,) into the camera's axes."""
    xp = array_namespace(world)
    cos, sin = xp.cos(rotation)[..., None], xp.sin(rotation)[..., None]
    x, y = world[..., 0], world[..., 1]
    return xp.stack([cos * x - sin * y, sin * x + cos * y, world[..., 2]], axis=-1)

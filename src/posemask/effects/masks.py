"""Masks as pictures: which pixels are in front, and which colour each part of the body has.

The rules are those of TensorFlow.js ``body-segmentation`` 1.0.2 (``toBinaryMask``, ``toColoredMask``). There a mask
is a picture whose red channel is the value of a pixel and whose alpha channel is its probability:

    a person's mask      red = alpha = round(255 p)
    body parts           red = part 0-23, alpha = 255; where nobody is, red = 24, alpha = 0

Rounding is JavaScript's: halves go up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..bodies import NO_PART, PART_COLORS
from ..errors import InputError
from ..pixels import native as pixels
from ..results import Segmentation
from ._checks import check_color, check_number, check_segmentations

__all__ = ["bodypix_mask_value_to_rainbow_color", "to_binary_mask", "to_colored_mask"]

Color = Sequence[int]
Rgba = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.uint8]
Inside = npt.NDArray[np.bool_]

CONTOUR = (0, 255, 255, 255)


def bodypix_mask_value_to_rainbow_color(mask_value: int) -> tuple[int, int, int, int]:
    """Red, green, blue, alpha of a body part 0-23 (`posemask.bodies.PART_COLORS`); `InputError` for another value."""
    if not 0 <= mask_value < len(PART_COLORS):
        raise InputError(f"a body part's value is in [0, {len(PART_COLORS) - 1}], got {mask_value}")
    red, green, blue = PART_COLORS[mask_value]
    return red, green, blue, 255


def to_binary_mask(
    segmentation: Segmentation | Sequence[Segmentation],
    *,
    foreground: Color = (0, 0, 0, 0),
    background: Color = (0, 0, 0, 255),
    draw_contour: bool = False,
    foreground_threshold: float = 0.5,
    foreground_mask_values: Iterable[int] = range(256),
) -> Rgba | None:
    """A picture with one colour where people are and another where nobody is.

    Args:
        segmentation: one or several, all of one size.
        foreground, background: red, green, blue, alpha, 0-255.
        draw_contour: paint the rim of every mask cyan.
        foreground_threshold: in [0, 1]; a pixel is foreground if round(255 p) >= round(255 threshold).
        foreground_mask_values: red values that may be foreground, for example some body parts.

    Returns:
        (H, W, 4) uint8 RGBA, not premultiplied; None for an empty sequence.
    """
    segmentations = check_segmentations(segmentation)
    colors = _packed([check_color("background", background), check_color("foreground", foreground)])
    threshold = check_number("foreground_threshold", foreground_threshold, 0, 1)
    insides = foregrounds(segmentations, threshold, foreground_mask_values)
    if not insides:
        return None
    picture: Rgba = colors.take(np.logical_or.reduce(insides).view(np.uint8))[..., None].view(np.uint8)
    if draw_contour:
        picture[contour(insides)] = CONTOUR
    return picture


def to_colored_mask(
    segmentation: Segmentation | Sequence[Segmentation],
    mask_value_to_color: Callable[[int], Color] = bodypix_mask_value_to_rainbow_color,
    *,
    background: Color = (0, 0, 0, 255),
    foreground_threshold: float = 0.5,
) -> Rgba | None:
    """A picture in which every mask value has its colour, for example every part of the body.

    Args:
        segmentation: one or several, all of one size; where they overlap the last one wins.
        mask_value_to_color: red, green, blue, alpha of a mask value; called once for each value that occurs.
        background: red, green, blue, alpha where nobody is.
        foreground_threshold: in [0, 1]; a pixel is coloured if round(255 p) >= round(255 threshold).

    Returns:
        (H, W, 4) uint8 RGBA, not premultiplied; None for an empty sequence.
    """
    segmentations = check_segmentations(segmentation)
    red_green_blue_alpha = check_color("background", background)
    cutoff = _round(255 * check_number("foreground_threshold", foreground_threshold, 0, 1))
    if not segmentations:
        return None
    picture = np.full(segmentations[0].mask.size_hw, _packed([red_green_blue_alpha])[0])
    for one in segmentations:
        value, alpha = planes(one)
        is_foreground = alpha >= cutoff
        colors = np.zeros((256, 4), dtype=np.uint8)
        for occurring in np.flatnonzero(np.bincount(value[is_foreground], minlength=256)):
            colors[occurring] = check_color("a colour of mask_value_to_color", mask_value_to_color(int(occurring)))
        np.copyto(picture, _packed(colors).take(value), where=is_foreground)
    return picture[..., None].view(np.uint8)


def planes(segmentation: Segmentation) -> tuple[Plane, Plane]:
    """Value (red) and probability (alpha) of every pixel, (H, W) uint8 each; see the head of this file."""
    if segmentation.part_labels is None:
        mask = segmentation.mask
        probability = np.empty(mask.size_hw, dtype=np.uint8)
        pixels.paste(mask.probabilities, mask.image_from_crop, mask.size_hw, border=mask.border, out=probability)
        return probability, probability
    labels = np.asarray(segmentation.part_labels, dtype=np.uint8)
    return labels, np.where(labels < NO_PART, np.uint8(255), np.uint8(0))


def foregrounds(segmentations: Sequence[Segmentation], threshold: float, values: Iterable[int]) -> list[Inside]:
    """For each segmentation, (H, W) bool: where `to_binary_mask` with these options sees foreground."""
    cutoff, chosen = _round(255 * threshold), _chosen(values)
    return [_is_foreground(one, cutoff, chosen) for one in segmentations]


def contour(insides: Sequence[Inside]) -> Inside:
    """Where the contour of these masks is painted, (H, W) bool.

    TensorFlow.js walks over the picture row by row. At a foreground pixel off the picture's border with a background
    pixel among its four diagonal neighbours it paints these four. The two below are repainted when the walk gets to
    them, so what stays are the two above: a pixel is painted if the pixel below it to the left or to the right is
    such a rim.
    """
    painted = np.zeros(insides[0].shape, dtype=bool)
    if min(painted.shape) < 3:
        return painted
    for inside in insides:
        rim = inside[1:-1, 1:-1] & ~(inside[:-2, :-2] & inside[:-2, 2:] & inside[2:, :-2] & inside[2:, 2:])
        painted[:-2, :-2] |= rim
        painted[:-2, 2:] |= rim
    return painted


def _is_foreground(segmentation: Segmentation, cutoff: int, chosen: Inside) -> Inside:
    value, alpha = planes(segmentation)
    return (alpha >= cutoff) if chosen.all() else chosen[value] & (alpha >= cutoff)


def _packed(colors: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """(N,) for (N, 4) bytes: a colour as one number, to be moved in one piece."""
    return np.ascontiguousarray(colors, dtype=np.uint8).view(np.uint32)[:, 0]


def _chosen(values: Iterable[int]) -> Inside:
    chosen = np.zeros(256, dtype=bool)
    for value in values:
        if not 0 <= value <= 255:
            raise InputError(f"mask values are integers in [0, 255], got {value!r}")
        chosen[value] = True
    return chosen


def _round(value: float) -> int:
    return int(np.floor(value + 0.5))

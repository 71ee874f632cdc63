"""The parts of the body in colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..bodies import NO_PART, PARTS
from ..errors import InputError
from ..pixels import native as pixels
from ..results import Segmentation
from ._checks import check_color, check_image, check_number, check_segmentations
from .masks import bodypix_mask_value_to_rainbow_color

__all__ = ["draw_parts"]

Picture = npt.NDArray[np.uint8]


def draw_parts(
    image: Picture,
    segmentation: Segmentation | Sequence[Segmentation],
    *,
    part_to_color: Callable[[int], Sequence[int]] = bodypix_mask_value_to_rainbow_color,
    opacity: float = 0.65,
) -> Picture:
    """The picture with every part of every body in its colour; where nobody is, it stays as it is.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: one or several of this picture, with body parts; where they overlap the last one lies uppermost.
        part_to_color: red, green, blue (and alpha, if some parts shall be fainter) of the parts 0-23.
        opacity: in [0, 1], of the colours.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    segmentations = check_segmentations(segmentation, image.shape[:2])
    strength = check_number("opacity", opacity, 0, 1)
    table = np.zeros((NO_PART + 1, 4), dtype=np.uint8)
    table[:NO_PART] = [check_color("a colour of part_to_color", part_to_color(part)) for part in range(len(PARTS))]
    alphas = np.floor(table[:, 3] * strength + 0.5).astype(np.uint8)
    picture = image.copy()
    for one in segmentations:
        if one.part_labels is None:
            raise InputError("there are no body parts in this segmentation: ask for them with segment_body_parts=True")
        labels = np.asarray(one.part_labels)
        somebody = labels < NO_PART
        rows, columns = _span(somebody, axis=1), _span(somebody, axis=0)
        labels, part = np.minimum(labels[rows, columns], NO_PART), picture[rows, columns]
        if labels.size:
            pixels.blend(np.take(table[:, :3], labels, axis=0), part, np.take(alphas, labels), out=part)
    return picture


def _span(occupied: npt.NDArray[np.bool_], axis: int) -> slice:
    """From the first to the last row (axis 1) or column (axis 0) in which something is occupied."""
    where = np.flatnonzero(occupied.any(axis=axis))
    return slice(where[0], where[-1] + 1) if where.size else slice(0, 0)

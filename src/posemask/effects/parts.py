"""The parts of the body in colours, and some of them made unrecognisable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..bodies import NO_PART, PARTS
from ..errors import InputError
from ..pixels import native as pixels
from ..results import Segmentation
from ._checks import check_color, check_image, check_number, check_segmentations
from .masks import bodypix_mask_value_to_rainbow_color

__all__ = ["blur_parts", "draw_parts"]

Picture = npt.NDArray[np.uint8]

_SHARE = 1 / 60  # of a part's side is the blur's standard deviation, for a strength of 1
_MOST_SIGMA = 300.0  # of `pixels.blur`
_EDGE = 1 / 6  # of the blur's standard deviation is that of its edge


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
        labels = _labels_of(one)
        somebody = labels < NO_PART
        rows, columns = _span(somebody, axis=1), _span(somebody, axis=0)
        labels, part = np.minimum(labels[rows, columns], NO_PART), picture[rows, columns]
        if labels.size:
            pixels.blend(np.take(table[:, :3], labels, axis=0), part, np.take(alphas, labels), out=part)
    return picture


def blur_parts(
    image: Picture,
    segmentation: Segmentation | Sequence[Segmentation],
    parts: Iterable[int],
    *,
    strength: float = 12,
) -> Picture:
    """The picture with some parts of every body blurred as much as their size asks for, for example faces with [0, 1].

    Unlike `blur_body_part`, which is TensorFlow.js's and blurs by pixels, this hides a face that fills the picture as
    well as a small one. The blur fades out beyond the parts, so that nothing of them is seen through.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: one or several of this picture, with body parts.
        parts: 0-23 as in `posemask.bodies.PARTS`.
        strength: in [1, 100]; 12 blurs over a fifth of the side of a square that has the area of a person's chosen
            parts.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    segmentations = check_segmentations(segmentation, image.shape[:2])
    share = check_number("strength", strength, 1, 100) * _SHARE
    chosen = np.zeros(256, np.bool_)
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (int, np.integer)) or not 0 <= part < len(PARTS):
            raise InputError(f"parts are integers in [0, {len(PARTS) - 1}], as in posemask.bodies.PARTS; got {part!r}")
        chosen[part] = True
    picture = image.copy()
    for one in segmentations:
        hidden = chosen[_labels_of(one)]
        sigma = max(1.0, share * math.sqrt(np.count_nonzero(hidden)))
        reach = round(3 * sigma)
        rows, columns = (_widened(_span(hidden, axis=axis), reach) for axis in (1, 0))
        region = picture[rows, columns]
        if region.size:
            within = hidden[rows, columns]
            soft = pixels.blur(within.view(np.uint8) * np.uint8(255), min(max(1.0, sigma * _EDGE), _MOST_SIGMA))
            shown = 255 - 2 * np.minimum(soft, 127)  # a blurred edge is one half at the edge itself
            shown[within] = 0
            if sigma <= _MOST_SIGMA:
                pixels.blend_blurred(region, shown, sigma, out=region)
            else:
                pixels.blend(region, _blurred_widely(region, sigma), shown, out=region)
    return picture


def _blurred_widely(image: Picture, sigma: float) -> Picture:
    """The picture blurred by more than `pixels.blur` can: of such a blur its size tells nothing."""
    smaller = math.ceil(sigma / _MOST_SIGMA)
    height, width = image.shape[:2]
    few = pixels.resize(image, (-(-height // smaller), -(-width // smaller)), method="area")
    return pixels.resize(pixels.blur(few, sigma / smaller), (height, width))


def _labels_of(segmentation: Segmentation) -> npt.NDArray[np.uint8]:
    if segmentation.part_labels is None:
        raise InputError("there are no body parts in this segmentation: ask for them with segment_body_parts=True")
    return np.asarray(segmentation.part_labels)


def _widened(span: slice, reach: int) -> slice:
    """The span and `reach` more on either side, if there is anything in it."""
    return slice(max(0, span.start - reach), span.stop + reach) if span.stop > span.start else span


def _span(occupied: npt.NDArray[np.bool_], axis: int) -> slice:
    """From the first to the last row (axis 1) or column (axis 0) in which something is occupied."""
    where = np.flatnonzero(occupied.any(axis=axis))
    return slice(where[0], where[-1] + 1) if where.size else slice(0, 0)

"""The background blurred, replaced or taken away, with the mask's soft edge.

A mask is never right to the pixel, and around a person the colours of both sides mix. Two things keep that from being
seen. What is blurred behind people is the background alone: each pixel counts as much as it is *not* person, so no glow
of skin and clothes lies around them. And before people are laid over something new, the pixels of their rim take on the
people's colours from nearby, so no seam of the old background comes along.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..pixels import native as pixels
from ..results import Frame, Segmentation
from ._canvas import mirrored
from ._checks import check_color, check_edge, check_image, check_number, check_segmentations
from ._matte import Matte, soft_matte

__all__ = ["EDGE", "blur_background", "cut_out", "fit_background", "replace_background"]

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.uint8]

EDGE = (0.4, 0.9)
"""Probabilities between which people fade in: low enough for hair, high enough to leave the old background behind."""

_REFERENCE_SIDE = 720  # shorter side of the picture for which a strength is in pixels
_MOST_SIGMA = 300.0  # of `pixels.blur`


def blur_background(
    image: Picture,
    segmentation: Segmentation | Sequence[Segmentation],
    *,
    strength: float = 12,
    edge: tuple[float, float] = EDGE,
    flip_horizontal: bool = False,
) -> Picture:
    """The people sharp, everything behind them out of focus.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: one or several of this picture; with none everything is blurred.
        strength: standard deviation of the blur in [1, 100], in pixels of a picture whose shorter side is 720: the same
            strength looks the same in every resolution. More than 300 pixels of the picture itself it never is.
        edge: two probabilities in [0, 1]; background up to the first, person from the second on.
        flip_horizontal: mirror the result.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    segmentations = check_segmentations(segmentation, image.shape[:2])
    edge = check_edge(edge)
    sigma = check_number("strength", strength, 1, 100) * min(image.shape[:2]) / _REFERENCE_SIDE
    sigma = min(sigma, _MOST_SIGMA)
    matte = soft_matte(segmentations, image.shape[:2], edge)
    picture = pixels.blend_blurred(image, matte.plane(), sigma, masked=True)
    return mirrored(picture) if flip_horizontal else picture


def replace_background(
    image: Picture,
    segmentation: Segmentation | Sequence[Segmentation],
    background: Picture | Frame | Sequence[int],
    *,
    edge: tuple[float, float] = EDGE,
    clean_edges: bool = True,
    flip_horizontal: bool = False,
) -> Picture:
    """The people before another background.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: one or several of this picture; with none only the background is seen.
        background: (h, w, 3) uint8 RGB of any size, a `Frame`, or a colour (red, green, blue). A picture is enlarged
            until it covers the image and cut at its middle (`fit_background`); one of the right size costs no time.
        edge: two probabilities in [0, 1]; background up to the first, person from the second on.
        clean_edges: give the people's rim their own colours instead of the old background's.
        flip_horizontal: mirror the people (not the background).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    size_hw = image.shape[:2]
    segmentations = check_segmentations(segmentation, size_hw)
    edge = check_edge(edge)
    picture = _background(background, size_hw)
    matte = soft_matte(segmentations, size_hw, edge)
    people = _people(image, matte, clean_edges)
    if flip_horizontal:
        matte, people = matte.mirrored(), mirrored(people) if people.size else people
    if matte.alpha.size:
        part = matte.view(picture)
        pixels.blend(people, part, matte.alpha, out=part)
    return picture


def cut_out(
    image: Picture,
    segmentation: Segmentation | Sequence[Segmentation],
    *,
    edge: tuple[float, float] = EDGE,
    clean_edges: bool = True,
) -> Picture:
    """The people on nothing.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: one or several of this picture; with none everything is transparent.
        edge: two probabilities in [0, 1]; background up to the first, person from the second on.
        clean_edges: give the people's rim their own colours instead of the old background's.

    Returns:
        (H, W, 4) uint8 RGBA, not premultiplied; black where it is transparent.
    """
    image = check_image(image)
    segmentations = check_segmentations(segmentation, image.shape[:2])
    matte = soft_matte(segmentations, image.shape[:2], check_edge(edge))
    picture = np.zeros((*image.shape[:2], 4), dtype=np.uint8)
    if matte.alpha.size:
        people = _people(image, matte, clean_edges)
        # What is transparent must be gone: pixels that are only invisible come back in whoever drops the alpha.
        nothing = np.broadcast_to(np.zeros_like(people[:1]), people.shape)
        seen = (matte.alpha > 0).view(np.uint8) * np.uint8(255)
        pixels.join_alpha(pixels.blend(people, nothing, seen), matte.alpha, out=matte.view(picture))
    return picture


def fit_background(background: Picture, size_hw: tuple[int, int]) -> Picture:
    """The middle of a picture in the wanted shape, enlarged or reduced to the wanted size; never distorted.

    Args:
        background: (h, w, 3) uint8 RGB.
        size_hw: height and width to fill.

    Returns:
        (H, W, 3) uint8 RGB; a copy if the size is right already.
    """
    background = check_image(background)
    height, width = background.shape[:2]
    if (height, width) == tuple(size_hw):
        return background.copy()
    scale = max(size_hw[0] / height, size_hw[1] / width)
    rows, columns = min(height, round(size_hw[0] / scale)), min(width, round(size_hw[1] / scale))
    rows, columns = max(1, rows), max(1, columns)
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = background[top : top + rows, left : left + columns]
    return pixels.resize(middle, (size_hw[0], size_hw[1]), method="area" if scale < 1 else "linear")


def _background(background: Picture | Frame | Sequence[int], size_hw: tuple[int, int]) -> Picture:
    """A new picture of that size."""
    if isinstance(background, Frame):
        background = background.image
    if isinstance(background, np.ndarray) and background.ndim == 3:
        return fit_background(background, size_hw)
    picture = np.empty((*size_hw, 3), dtype=np.uint8)
    picture[...] = check_color("background", background)[:3]
    return picture


def _people(image: Picture, matte: Matte, clean_edges: bool) -> Picture:
    """The image inside the matte's box, with the rim in the people's own colours if asked for."""
    part = matte.view(image)
    if not clean_edges or not part.size:
        return part
    return pixels.spread_foreground(part, matte.alpha, min(max(1.5, 1.5 * matte.grain), _MOST_SIGMA))

"""The renderers of TensorFlow.js ``body-segmentation`` 1.0.2, with its semantics, defaults and ranges.

They draw on a canvas there; here they return the picture. What a canvas leaves open, how a picture is reduced, is the
mean over the pixels of a cell here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..pixels import native as pixels
from ..results import Segmentation
from ._canvas import (
    blurred_layer,
    blurred_matte,
    blurred_picture,
    divided,
    mirrored,
    over_blurred_picture,
    premultiplied,
)
from ._checks import check_image, check_mask_image, check_number, check_segmentations
from ._matte import Matte, hard_matte
from .masks import contour, foregrounds

__all__ = ["blur_body_part", "draw_bokeh_effect", "draw_mask", "draw_pixelated_mask"]

Picture = npt.NDArray[np.uint8]


def draw_mask(
    image: Picture,
    mask_image: Picture | None,
    *,
    mask_opacity: float = 0.7,
    mask_blur_amount: float = 0,
    flip_horizontal: bool = False,
) -> Picture:
    """The picture with a mask picture laid over it.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask_image: (H, W, 4) uint8 RGBA of the same size, as `to_binary_mask` and `to_colored_mask` give it; None draws
            no mask.
        mask_opacity: in [0, 1]; multiplies the mask's alpha.
        mask_blur_amount: pixels in [0, 20] (a Gaussian's standard deviation) by which the mask is blurred.
        flip_horizontal: mirror the result.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    opacity = check_number("mask_opacity", mask_opacity, 0, 1)
    sigma = check_number("mask_blur_amount", mask_blur_amount, 0, 20)
    if mask_image is None:
        return mirrored(image) if flip_horizontal else image.copy()
    colors, alpha = blurred_layer(check_mask_image(mask_image, image.shape[:2]), sigma)
    picture = pixels.blend(colors, image, _scaled(alpha, opacity))
    return mirrored(picture) if flip_horizontal else picture


def draw_pixelated_mask(
    image: Picture,
    mask_image: Picture,
    *,
    mask_opacity: float = 0.7,
    mask_blur_amount: float = 0,
    flip_horizontal: bool = False,
    pixel_cell_width: float = 10.0,
) -> Picture:
    """The picture over a mask picture of coarse cells with a white grid.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask_image: (H, W, 4) uint8 RGBA of the same size.
        mask_opacity: in [0, 1]; the picture is drawn over the cells with the rest.
        mask_blur_amount: pixels in [0, 20] by which the mask is blurred before.
        flip_horizontal: mirror the result.
        pixel_cell_width: pixels between the lines of the grid, from 1 to the picture's shorter side.

    Returns:
        (H, W, 3) uint8 RGB; where the mask is transparent, the picture itself.
    """
    image = check_image(image)
    height, width = image.shape[:2]
    mask_image = check_mask_image(mask_image, (height, width))
    opacity = check_number("mask_opacity", mask_opacity, 0, 1)
    sigma = check_number("mask_blur_amount", mask_blur_amount, 0, 20)
    cell = check_number("pixel_cell_width", pixel_cell_width, 1, min(height, width))
    rows, columns = int(height / cell), int(width / cell)

    # Cells and grid on a transparent canvas, premultiplied; the cells fill the canvas, the grid keeps its own width.
    colors, alpha = blurred_layer(mask_image, sigma)
    layer = pixels.join_alpha(premultiplied(colors, alpha), alpha)
    cells = pixels.resize(layer, (rows, columns), method="area").view(np.uint32)[..., 0]
    of_row = np.minimum((np.arange(height) + 0.5) * rows / height, rows - 1).astype(int)
    of_column = np.minimum((np.arange(width) + 0.5) * columns / width, columns - 1).astype(int)
    canvas = cells[of_row].take(of_column, axis=1)[..., None].view(np.uint8)
    _draw_grid(canvas, _grid(width, columns, cell))
    _draw_grid(canvas.swapaxes(0, 1), _grid(height, rows, cell))

    # The picture is drawn over it with alpha 1 - opacity; the canvas' alpha divided out, that is a mixture in which the
    # canvas counts opacity * alpha beside 1 - opacity.
    alpha = np.ascontiguousarray(canvas[..., 3])
    counts = opacity * np.arange(256) / 255
    share = np.floor(255 * counts / np.maximum(counts + 1 - opacity, 1e-9) + 0.5).astype(np.uint8)
    picture = pixels.blend(divided(np.ascontiguousarray(canvas[..., :3]), alpha), image, share.take(alpha))
    return mirrored(picture) if flip_horizontal else picture


def draw_bokeh_effect(
    image: Picture,
    segmentation: Segmentation | Sequence[Segmentation],
    *,
    foreground_threshold: float = 0.5,
    background_blur_amount: float = 3,
    edge_blur_amount: float = 3,
    flip_horizontal: bool = False,
) -> Picture:
    """The picture with its background blurred.

    `blur_background` does the same with the soft mask and without the people's colours around them.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: one or several of this picture. With none the whole picture is blurred, and never mirrored.
        foreground_threshold: in [0, 1]; a pixel is foreground if round(255 p) >= round(255 threshold).
        background_blur_amount: pixels in [1, 20] (a Gaussian's standard deviation) by which the background is blurred.
        edge_blur_amount: pixels in [0, 20] by which the edge between people and background is blurred.
        flip_horizontal: mirror the result.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    segmentations = check_segmentations(segmentation, image.shape[:2])
    threshold = check_number("foreground_threshold", foreground_threshold, 0, 1)
    sigma = check_number("background_blur_amount", background_blur_amount, 1, 20)
    edge_sigma = check_number("edge_blur_amount", edge_blur_amount, 0, 20)
    if not segmentations:
        return blurred_picture(image, sigma)
    matte = blurred_matte(hard_matte(segmentations, image.shape[:2], threshold), edge_sigma)
    picture = over_blurred_picture(image, matte, sigma)
    return mirrored(picture) if flip_horizontal else picture


def blur_body_part(
    image: Picture,
    segmentation: Segmentation | Sequence[Segmentation],
    mask_values_to_blur: Iterable[int],
    *,
    foreground_threshold: float = 0.5,
    background_blur_amount: float = 3,
    edge_blur_amount: float = 3,
    flip_horizontal: bool = False,
) -> Picture:
    """The picture with some parts of the body blurred, for example faces with ``[0, 1]``.

    Args:
        image: (H, W, 3) uint8 RGB.
        segmentation: one or several of this picture, with body parts. With none the whole picture is blurred, and never
            mirrored.
        mask_values_to_blur: parts 0-23 as in `posemask.bodies.PARTS`.
        foreground_threshold, background_blur_amount, edge_blur_amount, flip_horizontal: as in `draw_bokeh_effect`.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    segmentations = check_segmentations(segmentation, image.shape[:2])
    threshold = check_number("foreground_threshold", foreground_threshold, 0, 1)
    sigma = check_number("background_blur_amount", background_blur_amount, 1, 20)
    edge_sigma = check_number("edge_blur_amount", edge_blur_amount, 0, 20)
    values = tuple(mask_values_to_blur)
    if not segmentations:
        return blurred_picture(image, sigma)
    chosen = foregrounds(segmentations, threshold, values)
    shown = ~np.logical_or.reduce(chosen) | contour(chosen)
    matte = Matte(alpha=shown.view(np.uint8) * np.uint8(255), top=0, left=0, size_hw=image.shape[:2])
    picture = over_blurred_picture(image, blurred_matte(matte, edge_sigma), sigma)
    return mirrored(picture) if flip_horizontal else picture


def _scaled(alpha: npt.NDArray[np.uint8], opacity: float) -> npt.NDArray[np.uint8]:
    """round(alpha * opacity) by a table."""
    table: npt.NDArray[np.uint8] = np.floor(np.arange(256) * opacity + 0.5).astype(np.uint8)
    return table.take(alpha)


def _draw_grid(canvas: npt.NDArray[np.uint8], opacity: npt.NDArray[np.float32]) -> None:
    """White columns, of one opacity each, over a premultiplied canvas, (H, W, 4), in place."""
    columns = np.flatnonzero(opacity)
    below = canvas[:, columns].astype(np.float32)
    canvas[:, columns] = below + (255 - below) * opacity[columns, None] + 0.5


def _grid(length: int, lines: int, cell: float) -> npt.NDArray[np.float32]:
    """Opacity along one axis of white lines one pixel wide, centred at 0, cell, 2 cell ...

    A line between two pixels covers half of each: canvases draw with the share of the pixel that is covered.
    """
    pixel = np.arange(length)[:, None]
    centre = np.arange(lines)[None, :] * cell
    covered = np.minimum(pixel + 1, centre + 0.5) - np.maximum(pixel, centre - 0.5)
    # Lines drawn one after the other, each over the ones before.
    opacity: npt.NDArray[np.float32] = (1 - np.prod(1 - np.clip(covered, 0, 1), axis=1)).astype(np.float32)
    return opacity

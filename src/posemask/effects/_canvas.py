"""What a browser's canvas does, for the renderers that follow TensorFlow.js.

A canvas blurs premultiplied colours, and outside of it everything is transparent. So a blurred layer fades towards the
canvas' border, and what is composed of such layers is partly transparent there. Our pictures have no alpha: they hold
the canvas' colours with the alpha divided out. ``filter: blur(N px)`` is a Gaussian of standard deviation N.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..pixels import native as pixels
from ._matte import Matte

__all__ = [
    "blurred_layer",
    "blurred_matte",
    "blurred_picture",
    "divided",
    "mirrored",
    "over_blurred_picture",
    "premultiplied",
]

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.float32]


def blurred_picture(image: Picture, sigma: float) -> Picture:
    """(H, W, 3): an opaque picture blurred on a canvas, colours without alpha.

    Dividing the alpha out leaves the mean over the part of the Gaussian that lies in the picture.
    """
    blurred: Picture = pixels.blur(image, sigma, border="zero")
    down, across = _inside(image.shape[0], sigma), _inside(image.shape[1], sigma)
    for rows, columns in _rim(down, across):
        values = blurred[rows, columns] * (1 / (down[rows, None] * across[None, columns]))[..., None]
        values += 0.5
        blurred[rows, columns] = np.minimum(values, 255, out=values)
    return blurred


def blurred_matte(matte: Matte, sigma: float) -> Matte:
    """A matte blurred on a canvas: beyond the picture nobody is, so people fade where the picture cuts them."""
    if not matte.alpha.size or sigma == 0:
        return matte
    grown = matte.grown(_reach(sigma))
    return replace(grown, alpha=pixels.blur(grown.alpha, sigma, border="zero"))


def blurred_layer(layer: Picture, sigma: float) -> tuple[Picture, Plane]:
    """(H, W, 4) RGBA, not premultiplied, blurred on a canvas: its colours (H, W, 3) and its opacity (H, W)."""
    colors, opacity = np.ascontiguousarray(layer[..., :3]), np.ascontiguousarray(layer[..., 3])
    if sigma == 0:
        return colors, opacity
    colors, opacity = premultiplied(colors, opacity), pixels.blur(opacity, sigma, border="zero")
    pixels.blur(colors, sigma, border="zero", out=colors)
    return divided(colors, opacity), opacity


def premultiplied(colors: Picture, opacity: Plane) -> Picture:
    """Colours (H, W, 3) times their opacity (H, W)."""
    return pixels.blend(colors, np.broadcast_to(np.zeros_like(colors[:1]), colors.shape), opacity)


def divided(colors: Picture, opacity: Plane) -> Picture:
    """Premultiplied colours with the opacity divided out, in place; nothing is known where it is 0."""
    translucent = (opacity > 0) & (opacity < 255)
    colors[translucent] = np.minimum(colors[translucent] * (255 / opacity[translucent, None]) + 0.5, 255)
    return colors


def over_blurred_picture(image: Picture, matte: Matte, sigma: float) -> Picture:
    """The picture, cut out by the matte ("destination-in"), over itself blurred ("destination-over").

    With opacity m of the matte and b of the blurred layer the canvas holds m * image + (1 - m) b * blurred with alpha
    m + (1 - m) b; b is less than 1 only near the picture's border. Divided out, that is a mixture with the weight
    m / (m + (1 - m) b).
    """
    result = blurred_picture(image, sigma)
    if not matte.alpha.size:
        return result
    height, width = matte.alpha.shape
    down = _inside(image.shape[0], sigma)[matte.top : matte.top + height]
    across = _inside(image.shape[1], sigma)[matte.left : matte.left + width]
    weight = matte.alpha.copy()
    for rows, columns in _rim(down, across):
        opacity = down[rows, None] * across[None, columns]
        person = matte.alpha[rows, columns] * np.float32(1 / 255)
        weight[rows, columns] = 255 * person / (person + (1 - person) * opacity) + 0.5
    part = matte.view(result)
    pixels.blend(matte.view(image), part, weight, out=part)
    return result


def mirrored(picture: Picture) -> Picture:
    """A new (H, W, 3) picture with left and right exchanged."""
    mirror = np.array([[-1.0, 0.0, picture.shape[1] - 1.0], [0.0, 1.0, 0.0]])
    return pixels.crop(picture, mirror, picture.shape[:2], out=np.empty(picture.shape, dtype=np.uint8))


def _reach(sigma: float) -> int:
    """How far `pixels.blur` reaches, at least: it leaves out what is beyond three sigma, but works in coarser cells."""
    return math.ceil(4 * sigma)


@functools.lru_cache(maxsize=16)
def _inside(length: int, sigma: float) -> Weights:
    """Share of the Gaussian around each of `length` pixels in a row that lies in the row; 1 where 255ths cannot tell.

    Taken from `pixels.blur` itself, whose kernel is not quite a Gaussian: in the middle of a strip so wide that its own
    sides do not count.
    """
    reach = _reach(sigma)
    share: Weights = pixels.blur(np.ones((length, 2 * reach + 1), dtype=np.float32), sigma, border="zero")[:, reach]
    share = np.where(share < 1 - 1 / 512, share, np.float32(1))
    share.flags.writeable = False
    return share


def _rim(down: Weights, across: Weights) -> Iterator[tuple[slice, slice]]:
    """Windows that together cover, each pixel once, where down * across is less than 1."""
    whole_rows, whole_columns = np.flatnonzero(down >= 1), np.flatnonzero(across >= 1)
    if not whole_rows.size or not whole_columns.size:
        yield slice(None), slice(None)
        return
    rows, columns = slice(whole_rows[0], whole_rows[-1] + 1), slice(whole_columns[0], whole_columns[-1] + 1)
    if rows.start > 0:
        yield slice(0, rows.start), slice(None)
    if rows.stop < down.size:
        yield slice(rows.stop, None), slice(None)
    if columns.start > 0:
        yield rows, slice(0, columns.start)
    if columns.stop < across.size:
        yield rows, slice(columns.stop, None)

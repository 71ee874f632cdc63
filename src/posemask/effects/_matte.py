"""Mattes: how opaque the people are at every pixel, kept only inside the box where they are.

A network's mask is small (256 x 256 or less) and a picture is large. Enlarging the mask is the dearest step of an
effect, so it is done once, straight into 8 bits and only inside the box where the small mask says that anybody can be;
outside the box the opacity is exactly 0. The ramp from probability to opacity is linear, so it is put on the small mask
*before* the enlargement and clipped *after* it by the conversion to 8 bits: the same as enlarging first, and the edge
is as sharp as the ramp is steep, however small the mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..pixels import native as pixels
from ..results import Mask, Segmentation
from .masks import foregrounds

__all__ = ["Matte", "hard_matte", "soft_matte"]

Plane = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.uint8]

_STEEP = 1e6  # opacity per probability of a threshold: the ramp is narrower than float32 can tell near 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matte:
    """Opacity inside a box of the picture; 0 everywhere else.

    Attributes:
        alpha: (h, w) uint8, 255 where the picture is all person. May be empty.
        top, left: the box's first row and column in the picture.
        size_hw: height and width of the picture.
        grain: side of a pixel of the mask that this was made from, in pixels of the picture: how exact its edge is.
    """

    alpha: Plane
    top: int
    left: int
    size_hw: tuple[int, int]
    grain: float = 1.0

    def view(self, picture: Picture) -> Picture:
        """The part of an array of the picture's size that lies in the box; writing to it writes to the picture."""
        height, width = self.alpha.shape
        return picture[self.top : self.top + height, self.left : self.left + width]

    def plane(self) -> Plane:
        """(H, W) uint8, the opacity of the whole picture."""
        plane = np.zeros(self.size_hw, dtype=np.uint8)
        self.view(plane)[...] = self.alpha
        return plane

    def mirrored(self) -> Matte:
        """The same in the mirrored picture."""
        left = self.size_hw[1] - self.left - self.alpha.shape[1]
        return replace(self, alpha=np.ascontiguousarray(self.alpha[:, ::-1]), left=left)

    def grown(self, margin: int) -> Matte:
        """The same opacity with a box that is larger on every side, as far as the picture reaches."""
        height, width = self.alpha.shape
        if not self.alpha.size:
            return self
        top, left = max(0, self.top - margin), max(0, self.left - margin)
        bottom = min(self.size_hw[0], self.top + height + margin)
        right = min(self.size_hw[1], self.left + width + margin)
        around = ((self.top - top, bottom - self.top - height), (self.left - left, right - self.left - width))
        return replace(self, alpha=np.pad(self.alpha, around), top=top, left=left)


def soft_matte(segmentations: Sequence[Segmentation], size_hw: tuple[int, int], edge: tuple[float, float]) -> Matte:
    """Opacity with a soft edge: 0 up to probability edge[0], full from edge[1] on, a straight ramp between.

    The mask is smoothed over one of its own pixels first: enlarged as it is, its steps would be seen as a saw along
    every slanting edge.
    """
    low, high = edge
    gain = 1 / max(high - low, 1 / _STEEP)
    return _union([_enlarged(one.mask, low, gain, 0.0, smooth=True) for one in segmentations], size_hw)


def hard_matte(segmentations: Sequence[Segmentation], size_hw: tuple[int, int], threshold: float) -> Matte:
    """Opacity 255 where `to_binary_mask` sees foreground, else 0."""
    cutoff = math.floor(255 * threshold + 0.5)
    if cutoff == 0 or any(one.part_labels is not None for one in segmentations):
        inside = np.logical_or.reduce(foregrounds(segmentations, threshold, range(256)))
        return Matte(alpha=inside.view(np.uint8) * np.uint8(255), top=0, left=0, size_hw=size_hw)
    # round(255 p) >= cutoff, halves up, is p >= (cutoff - 0.5) / 255.
    least = (cutoff - 0.5) / 255
    return _union([_enlarged(one.mask, least, _STEEP, 1.0, smooth=False) for one in segmentations], size_hw)


def _enlarged(mask: Mask, zero: float, gain: float, offset: float, *, smooth: bool) -> Matte:
    """(p - zero) * gain + offset at every pixel, clipped to [0, 1] after the enlargement, in 8 bits."""
    # One more ring says that outside the crop nobody is (or what its edge is), also after the ramp has moved 0.
    ring: Literal["constant", "edge"] = "constant" if mask.border == "zero" else "edge"
    values = np.pad(np.asarray(mask.probabilities, dtype=np.float32), 2 if smooth else 1, mode=ring)
    if smooth:
        values = values[:-2] + 2 * values[1:-1] + values[2:]
        values = (values[:, :-2] + 2 * values[:, 1:-1] + values[:, 2:]) * np.float32(1 / 16)
    values = (values - np.float32(zero)) * np.float32(gain) + np.float32(offset)
    image_from_ringed = np.array(mask.image_from_crop, dtype=np.float64)
    image_from_ringed[:, 2] -= image_from_ringed[:, 0] + image_from_ringed[:, 1]

    top, left, bottom, right = _box(values > 0, image_from_ringed, mask)
    alpha = np.empty((bottom - top, right - left), dtype=np.uint8)
    if alpha.size:
        image_from_ringed[:, 2] -= left, top
        pixels.paste(values, image_from_ringed, alpha.shape, border=mask.border, out=alpha)
    (a, b, _), (c, d, _) = image_from_ringed.tolist()
    grain = math.sqrt(abs(a * d - b * c))
    return Matte(alpha=alpha, top=top, left=left, size_hw=mask.size_hw, grain=grain)


def _box(occupied: npt.NDArray[np.bool_], image_from_mask: npt.NDArray[np.float64], mask: Mask) -> tuple[int, ...]:
    """Top, left, bottom, right in the picture of all that the occupied mask pixels can touch when enlarged."""
    spans = []
    for axis in (0, 1):
        along = np.flatnonzero(occupied.any(axis=axis))
        if not along.size:
            return 0, 0, 0, 0
        first, last = float(along[0]) - 1, float(along[-1]) + 1
        if mask.border == "replicate":  # an occupied edge goes on for ever
            far = 1e9
            first = -far if first < 0 else first
            last = far if last >= occupied.shape[1 - axis] else last
        spans.append((first, last))
    (u_first, u_last), (v_first, v_last) = spans
    corners = np.array([[u, v, 1.0] for u in (u_first, u_last) for v in (v_first, v_last)]) @ image_from_mask.T
    height, width = mask.size_hw
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.floor(corners.max(axis=0)) + 1, 0, (width, height)).astype(int).tolist()
    return top, left, max(top, bottom), max(left, right)


def _union(mattes: Sequence[Matte], size_hw: tuple[int, int]) -> Matte:
    """Where several people are, the most opaque counts."""
    mattes = [matte for matte in mattes if matte.alpha.size]
    if len(mattes) == 1:
        return mattes[0]
    if not mattes:
        return Matte(alpha=np.empty((0, 0), dtype=np.uint8), top=0, left=0, size_hw=size_hw)
    top, left = min(matte.top for matte in mattes), min(matte.left for matte in mattes)
    bottom = max(matte.top + matte.alpha.shape[0] for matte in mattes)
    right = max(matte.left + matte.alpha.shape[1] for matte in mattes)
    alpha = np.zeros((bottom - top, right - left), dtype=np.uint8)
    for matte in mattes:
        height, width = matte.alpha.shape
        part = alpha[matte.top - top : matte.top - top + height, matte.left - left : matte.left - left + width]
        np.maximum(part, matte.alpha, out=part)
    return Matte(alpha=alpha, top=top, left=left, size_hw=size_hw, grain=max(matte.grain for matte in mattes))

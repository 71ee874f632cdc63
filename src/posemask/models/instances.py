"""Masks of several people that do not overlap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..numbers.geometry import apply_affine, invert_affine
from ..numbers.parts import body_distance
from ..numbers.people import share_pixels
from ..numbers.tracking import Landmarks
from ..pixels import native as pixels

__all__ = ["separate"]

Floats = npt.NDArray[np.float64]
MEETING = 0.05  # probability; masks that are nowhere both above it do not meet
FAR = 10.0  # radii, from where on it makes no difference
DISPUTED = 0.005  # where they meet, pixels at which both are above it are shared out


def separate(
    masks: npt.NDArray[np.float32], affine: Floats, landmarks: Landmarks, size_hw: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], Floats]:
    """Masks that do not overlap, and where they lie: a pixel belongs to the person most likely to own it.

    Masks that meet are resampled to the pixels of the image, where alone it can be said that no pixel has two owners.

    Args:
        masks: (P, h, w) probabilities in the people's crops, P >= 2.
        affine: (P, 2, 3), where crop pixels lie in the image.
        landmarks: the people's.
        size_hw: of the image.

    Returns:
        (P, ...) probabilities and (P, 2, 3) where their pixels lie in the image.
    """
    in_image = np.stack([pixels.paste(mask, to_image, size_hw) for mask, to_image in zip(masks, affine, strict=True)])
    largest, second = in_image[0], np.zeros_like(in_image[0])
    for mask in in_image[1:]:
        second = np.maximum(second, np.minimum(largest, mask))
        largest = np.maximum(largest, mask)
    if second.max() <= MEETING:
        return masks, affine
    disputed = second > DISPUTED
    distances = np.stack([_distance(landmarks, i, affine[i], masks[i].shape, disputed) for i in range(len(masks))])
    sizes = landmarks.roi[:, 2].astype(np.float32)
    in_image[:, disputed] = share_pixels(in_image[:, disputed], distances, sizes)
    return in_image, np.broadcast_to(np.eye(2, 3), (len(masks), 2, 3))


def _distance(
    landmarks: Landmarks, person: int, to_image: Floats, crop_hw: tuple[int, ...], where: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """(N,): how far the N pixels ``where`` are from a person's body, computed in the part of the crop around them."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    corners = np.array([(x, y) for x in columns[[0, -1]] for y in rows[[0, -1]]], np.float64)
    in_crop = apply_affine(invert_affine(to_image), corners)
    low = np.clip(np.floor(in_crop.min(axis=0)).astype(int) - 1, 0, np.array(crop_hw[::-1]) - 1)
    high = np.clip(np.ceil(in_crop.max(axis=0)).astype(int) + 2, low + 1, crop_hw[::-1])
    grid = np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1])), axis=-1).astype(np.float32)
    points = (grid.reshape(-1, 2) @ to_image[:, :2].T + to_image[:, 2]).astype(np.float32)
    hidden = np.maximum(landmarks.presence[person] - landmarks.visibility[person], 0)
    body = (landmarks.xyz[person, :, :2], landmarks.world[person], hidden)
    distance = np.full(crop_hw, FAR, np.float32)
    part = body_distance(points, *(np.asarray(values, np.float32) for values in body))
    distance[low[1] : high[1], low[0] : high[0]] = part.reshape(grid.shape[:2])
    in_image: npt.NDArray[np.float32] = pixels.paste(distance, to_image, where.shape, border="replicate")[where]
    return in_image

"""Masks of several people that do not overlap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..numbers.parts import body_distance
from ..numbers.people import share_pixels
from ..numbers.tracking import Landmarks
from ..pixels import native as pixels

__all__ = ["separate"]

Floats = npt.NDArray[np.float64]
MEETING = 0.05  # probability; where two masks are both above it, the pixel is disputed


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
    if np.sort(in_image, axis=0)[-2].max() <= MEETING:
        return masks, affine
    side = np.arange(masks.shape[1], dtype=np.float32)
    crop = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    distances = np.empty_like(in_image)
    for i, (xyz, world) in enumerate(zip(landmarks.xyz, landmarks.world, strict=True)):
        points = (crop @ affine[i][:, :2].T + affine[i][:, 2]).astype(np.float32)
        hidden = np.maximum(landmarks.presence[i] - landmarks.visibility[i], 0)
        body = [np.asarray(part, np.float32) for part in (xyz[:, :2], world, hidden)]
        distance = body_distance(points, *body).reshape(masks[i].shape)
        distances[i] = pixels.paste(distance, affine[i], size_hw, border="replicate")
    sizes = landmarks.roi[:, 2].astype(np.float32)
    return share_pixels(in_image, distances, sizes), np.broadcast_to(np.eye(2, 3), (len(masks), 2, 3))

"""One look of a detector at a square view of a picture, on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..numbers.boxes import decode_detections, weighted_nms
from ..numbers.probability import sigmoid
from ..pixels import native as pixels
from ..results import Array

__all__ = ["look_at"]


def look_at(
    network: Callable[[Array], tuple[Array, ...]],
    anchors: npt.NDArray[np.float32],
    image: npt.NDArray[np.uint8],
    image_from_view: npt.NDArray[np.float64],
    *,
    size: int,
    most: int,
    min_score: float,
) -> tuple[Array, Array]:
    """Whom a detector finds.

    Args:
        network: (1, size, size, 3) in [-1, 1] -> boxes and points (1, A, 4 + 2 K), logits (1, A, 1).
        anchors: (A, 2) of its outputs.
        image: (H, W, 3) uint8 RGB.
        image_from_view: (2, 3), from the pixels of the network's input.
        size: side of that input.
        most: how many at most.
        min_score: of whom is found.

    Returns:
        (P, 4 + 2 K) and (P,) scores, best first, P <= most; as of `weighted_nms`, in fractions of the view.
    """
    tensor = pixels.crop(image, image_from_view, (size, size), border="zero", scale=2 / 255, offset=-1.0)
    raw, logits = network(tensor[None])
    # Only these are decoded and compared: mostly there are few, often none.
    sure = np.flatnonzero(sigmoid(logits[0, :, 0]) >= min_score)
    points, scores = decode_detections(raw[0][sure], logits[0][sure], anchors[sure], input_size=size)
    if not len(sure):
        return points, scores
    found, found_scores = weighted_nms(points, scores, max_people=min(most, len(sure)), min_score=min_score)
    return found[found_scores > 0], found_scores[found_scores > 0]

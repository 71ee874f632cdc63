"""From the landmark network's raw outputs to keypoints of the image.

Formulas: MediaPipe's TensorsToLandmarksCalculator, RefineLandmarksFromHeatmapCalculator and
LandmarkProjectionCalculator.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from ..results import Array
from .geometry import apply_affine, image_from_crop, rotate_world
from .probability import sigmoid

__all__ = ["LANDMARKS", "decode_landmarks", "heatmap_clarity", "project_landmarks", "refine_landmarks"]

INPUT_SIZE = 256
LANDMARKS = 39  # 33 keypoints, 2 points that give the next region of interest, 4 that nobody uses
_KEYPOINTS = 33


def decode_landmarks(raw: Array) -> tuple[Array, Array, Array]:
    """Splits (..., 195) into crop coordinates (..., 39, 3) in pixels, visibility and presence (..., 39)."""
    xp = array_namespace(raw)
    rows = xp.reshape(raw, (*raw.shape[:-1], LANDMARKS, 5))
    probabilities = sigmoid(rows[..., 3:])
    return rows[..., :3], probabilities[..., 0], probabilities[..., 1]


def refine_landmarks(crop_xy: Array, heatmap: Array, *, kernel: int = 7, min_confidence: float = 0.5) -> Array:
    """Moves each landmark to the centre of mass of its heat map around it.

    The window is ``kernel`` cells wide around the cell in which the landmark lies, cut at the map's border. A landmark
    outside the map, or whose window nowhere reaches ``min_confidence``, stays. MediaPipe's graph file says kernel 7;
    its Python wheel up to 0.10.21 loses that option and uses 9. TensorFlow.js tests the row against the wrong bound.

    Args:
        crop_xy: (..., K, 2) pixels of the crop.
        heatmap: (..., h, w, K) logits.

    Returns:
        (..., K, 2) pixels of the crop.
    """
    xp = array_namespace(crop_xy)
    height, width, count = heatmap.shape[-3:]
    device = getattr(crop_xy, "device", None)
    size = xp.asarray([width / INPUT_SIZE, height / INPUT_SIZE], dtype=crop_xy.dtype, device=device)
    # C++'s conversion to int drops the fraction: a landmark just left of the map (-1 < x < 0) counts as in column 0.
    cell = xp.trunc(crop_xy * size)
    column, row = cell[..., 0], cell[..., 1]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)

    reach = kernel // 2
    offset = xp.astype(xp.arange(-reach, reach + 1, device=device), crop_xy.dtype)
    columns = column[..., None, None] + offset[None, :]  # (..., K, 1, kernel)
    rows = row[..., None, None] + offset[:, None]  # (..., K, kernel, 1)
    in_map = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index_type = xp.int64
    channel = xp.arange(count, device=device)[:, None, None]
    at = xp.astype(xp.clip(rows, 0, height - 1), index_type) * width + xp.astype(
        xp.clip(columns, 0, width - 1), index_type
    )
    flat = xp.reshape(heatmap, (*heatmap.shape[:-3], height * width * count))
    index = xp.reshape(at * count + channel, (*flat.shape[:-1], count * kernel * kernel))
    logits = xp.reshape(xp.take_along_axis(flat, index, axis=-1), at.shape)
    confidence = sigmoid(xp.astype(logits, crop_xy.dtype))
    confidence = xp.where(in_map, confidence, xp.zeros_like(confidence))

    total = xp.sum(confidence, axis=(-2, -1))
    use = inside & (xp.max(confidence, axis=(-2, -1)) >= min_confidence) & (total > 0)
    total = xp.where(use, total, xp.ones_like(total))
    x = xp.sum(confidence * columns, axis=(-2, -1)) / total
    y = xp.sum(confidence * rows, axis=(-2, -1)) / total
    refined = xp.stack([x, y], axis=-1) / size
    return xp.where(use[..., None], refined, crop_xy)


def heatmap_clarity(heatmap: Array) -> Array:
    """How clearly the network sees a body: (...,) the mean over the keypoints of the highest probability in their maps.

    The maps of a body that is there have a peak for each keypoint that shows; where the network is led astray by
    something else, it draws a body all the same, but its maps stay flat. The score of presence tells the two apart
    far less well (docs/people.md).

    Args:
        heatmap: (..., h, w, K) logits, K >= 33.
    """
    xp = array_namespace(heatmap)
    peaks = xp.max(xp.max(heatmap, axis=-3), axis=-2)[..., :_KEYPOINTS]
    return xp.mean(sigmoid(peaks), axis=-1)


def project_landmarks(crop_xyz: Array, world: Array, roi: Array) -> tuple[Array, Array]:
    """Crop pixels into image pixels, and metres of the crop into metres along the camera's axes.

    Args:
        crop_xyz: (..., K, 3) pixels of the 256 x 256 crop.
        world: (..., M, 3) metres.
        roi: (..., 4).

    Returns:
        (..., K, 3) pixels of the image (z scaled as x and y are) and (..., M, 3) metres.
    """
    xp = array_namespace(crop_xyz)
    xy = apply_affine(image_from_crop(roi, INPUT_SIZE), crop_xyz[..., :2])
    z = crop_xyz[..., 2] * (roi[..., 2, None] / INPUT_SIZE)
    return xp.concat([xy, z[..., None]], axis=-1), rotate_world(world, roi[..., 3])

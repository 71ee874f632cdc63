"""From the detector's raw outputs to a few people: decode, the best candidates, weighted suppression.

Formulas: MediaPipe's TensorsToDetectionsCalculator and NonMaxSuppressionCalculator (WEIGHTED).
TensorFlow.js keeps the best box as it is; averaging, as MediaPipe does, gives a steadier region.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from ..results import Array
from .probability import sigmoid

__all__ = ["MAX_CANDIDATES", "box_iou", "decode_detections", "squares", "weighted_nms"]

# A person fires a few dozen anchors; more candidates than this change no average that matters.
MAX_CANDIDATES = 192


def decode_detections(raw: Array, logits: Array, anchors: Array, *, input_size: int) -> tuple[Array, Array]:
    """Boxes and alignment points as fractions of the detector's input, with their scores.

    Fractions and not pixels, because MediaPipe rounds to float32 there, and a region of thousands of pixels feels it.

    Args:
        raw: (..., A, 4 + 2 K) float: box centre x, y, width, height, then K points x, y, in pixels from the anchors.
        logits: (..., A, 1) float.
        anchors: (A, 2) centres in [0, 1].
        input_size: side of the square input in pixels.

    Returns:
        points: (..., A, 4 + 2 K): x_min, y_min, x_max, y_max, then the points x, y. BlazePose's four: hips' centre,
            the point that says scale and rotation of the whole body, shoulders' centre, the same for the upper body.
        scores: (..., A) in [0, 1]; 0 where a box has negative size.
    """
    xp = array_namespace(raw)
    raw = raw / float(input_size)
    x, y = raw[..., 0] + anchors[:, 0], raw[..., 1] + anchors[:, 1]
    half_width, half_height = raw[..., 2] / 2, raw[..., 3] / 2
    box = xp.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=-1)
    points = raw[..., 4:] + xp.concat([anchors] * ((raw.shape[-1] - 4) // 2), axis=-1)
    scores = sigmoid(logits[..., 0])
    scores = xp.where((half_width >= 0) & (half_height >= 0), scores, xp.zeros_like(scores))
    return xp.concat([box, points], axis=-1), scores


def box_iou(a: Array, b: Array) -> Array:
    """Intersection over union of (..., 4) boxes xyxy; 0 where both are empty."""
    xp = array_namespace(a)
    width = xp.minimum(a[..., 2], b[..., 2]) - xp.maximum(a[..., 0], b[..., 0])
    height = xp.minimum(a[..., 3], b[..., 3]) - xp.maximum(a[..., 1], b[..., 1])
    zero = xp.zeros_like(width)
    intersection = xp.maximum(width, zero) * xp.maximum(height, zero)
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    union = area_a + area_b - intersection
    return xp.where(union > 0, intersection / xp.where(union > 0, union, xp.ones_like(union)), zero)


def squares(rois: Array) -> Array:
    """(..., 4) boxes xyxy of regions (..., 4), as if they were not turned."""
    half = rois[..., 2:3] / 2
    return array_namespace(rois).concat([rois[..., :2] - half, rois[..., :2] + half], axis=-1)


def weighted_nms(
    points: Array, scores: Array, *, max_people: int, min_score: float = 0.5, iou_threshold: float = 0.3
) -> tuple[Array, Array]:
    """The best people: each is the score-weighted mean of all candidates that overlap its best one.

    Args:
        points: (..., A, 4 + 2 K) boxes xyxy followed by points, as from `decode_detections`.
        scores: (..., A).
        max_people: rows of the result.
        min_score: candidates below it do not count.
        iou_threshold: candidates that overlap more are the same person.

    Returns:
        (..., max_people, 4 + 2 K) and their scores (..., max_people), best first; score 0 where there is nobody.
    """
    xp = array_namespace(points)
    count = min(MAX_CANDIDATES, scores.shape[-1])
    order = xp.argsort(scores, axis=-1, descending=True)[..., :count]
    scores = xp.take_along_axis(scores, order, axis=-1)
    points = xp.take_along_axis(points, order[..., None], axis=-2)
    nothing = xp.zeros_like(scores)
    remaining = xp.where(scores >= min_score, scores, nothing)

    people, people_scores = [], []
    for _ in range(max_people):
        best = xp.argmax(remaining, axis=-1, keepdims=True)
        score = xp.take_along_axis(remaining, best, axis=-1)
        best_points = xp.take_along_axis(points, best[..., None], axis=-2)
        same = box_iou(points[..., :4], best_points[..., :4]) > iou_threshold
        weights = xp.where(same, remaining, nothing)
        total = xp.sum(weights, axis=-1, keepdims=True)
        mean = xp.sum(points * weights[..., None], axis=-2) / xp.where(total > 0, total, xp.ones_like(total))
        people.append(xp.where(total > 0, mean, best_points[..., 0, :]))
        people_scores.append(score[..., 0])
        # A box without area overlaps nothing, not even itself: it must still leave the list.
        taken = same | (xp.arange(count, device=getattr(scores, "device", None)) == best)
        remaining = xp.where(taken, nothing, remaining)
    return xp.stack(people, axis=-2), xp.stack(people_scores, axis=-1)

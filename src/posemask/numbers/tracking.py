"""What a stream remembers of its people, and how it smooths them.

- Visibility: low-pass, alpha 0.1. TensorFlow.js shares one such filter between the keypoints in pixels and in metres,
  throws half of its work away and forgets to reset it; here visibility is filtered once.
- Keypoints in the image: One-Euro in pixels, speeds measured in sizes of the person, so that near and far people are
  smoothed alike. MediaPipe's legacy graph takes the person's own square for the size, Tasks that with the margin of
  1.25. Against the true time of the frames both shake more on fast video than those releases do, so the size is 1.75
  times the square here: on the reference videos the jitter is below that of Tasks, and the trajectories are no further
  from either release.
- Keypoints in metres: One-Euro without scaling.
- The two auxiliary points, from which the next frame's region comes, are smoothed always, also where the keypoints are
  not (TensorFlow.js: only together). Here MediaPipe's releases disagree: the legacy graph filters them with (0.01, 10)
  against a clock of 30 frames per second whatever the video's rate, Tasks not at all. Against the true time the legacy
  values lag behind, and without a filter the region shakes. (0.02, 40) lies between: on the reference videos its
  trajectories are nearer to either release than the two are to each other, and steadier than those of Tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from array_api_compat import array_namespace

from ..results import Array
from .filters import OneEuro, low_pass, one_euro
from .geometry import roi_from_points
from .rows import Rows

__all__ = ["Landmarks", "Smoothing", "next_roi", "smooth_landmarks"]

VISIBILITY_ALPHA = 0.1
MIN_OBJECT_SIZE = 1e-6
OBJECT_SCALE = 1.75  # the size by which speeds are measured, in squares around the person
_KEYPOINTS, _AUXILIARY = 33, 2
# (min_cutoff, beta) of the keypoints in the image, the auxiliary points, the keypoints in metres
ONE_EURO = ((0.05, 80.0), (0.02, 40.0), (0.1, 40.0))


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks(Rows):
    """What the landmark network says of P people in one frame.

    Attributes:
        xyz: (P, 33, 3) pixels of the image; z in the same pixels.
        auxiliary_xy: (P, 2, 2) pixels: the centre of the region of interest and the point that gives its size.
        world: (P, 33, 3) metres.
        visibility, presence: (P, 33) probabilities.
        score: (P,) probability that there is a person in the region.
        clarity: (P,) in [0, 1], how clearly a body is seen (`posemask.numbers.landmarks.heatmap_clarity`); nan where
            nobody asked.
        roi: (P, 4) the region that the network looked at.
    """

    xyz: Array
    auxiliary_xy: Array
    world: Array
    visibility: Array
    presence: Array
    score: Array
    clarity: Array
    roi: Array


@dataclass(frozen=True, slots=True, eq=False)
class Smoothing:
    """State of the filters of P people.

    Attributes:
        points: (P, 68, 3): 33 keypoints in pixels, 2 auxiliary points in pixels, 33 keypoints in metres.
        visibility: (P, 33).
    """

    points: OneEuro
    visibility: Array


def next_roi(auxiliary_xy: Array) -> Array:
    """(P, 4): where to look for the same people in the next frame."""
    return roi_from_points(auxiliary_xy[..., 0, :], auxiliary_xy[..., 1, :])


@cache
def _per_point(xp: Any, dtype: Any, device: Any) -> tuple[Array, Array, Array]:
    """(68, 1) each: the filters' min_cutoff and beta, and 1 for points in pixels, 0 for points in metres."""
    rows = [(*parameters, in_pixels) for parameters, in_pixels in zip(ONE_EURO, (1.0, 1.0, 0.0), strict=True)]
    counts = (_KEYPOINTS, _AUXILIARY, _KEYPOINTS)
    table = [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]
    min_cutoff, beta, in_pixels = (
        xp.asarray(column, dtype=dtype, device=device) for column in zip(*table, strict=True)
    )
    return min_cutoff[:, None], beta[:, None], in_pixels[:, None]


def smooth_landmarks(
    state: Smoothing | None,
    landmarks: Landmarks,
    dt: Array | float,
    *,
    smooth_keypoints: bool = True,
    restart: Array | None = None,
) -> tuple[Smoothing, Landmarks]:
    """One step of all filters.

    Args:
        state: of the frame before, for the same people in the same order; None at the start.
        landmarks: of this frame, unfiltered.
        dt: seconds since the frame before, > 0; a number, or (P,) with one for each person.
        smooth_keypoints: False leaves the keypoints and their visibility as they are; the auxiliary points are
            smoothed all the same.
        restart: (P,) bool, people who were not there before.

    Returns:
        The new state and the smoothed landmarks.
    """
    xp = array_namespace(landmarks.xyz)
    min_cutoff, beta, in_pixels = _per_point(xp, landmarks.xyz.dtype, getattr(landmarks.xyz, "device", None))
    auxiliary = landmarks.auxiliary_xy
    depth = xp.zeros_like(auxiliary[..., :1])
    values = xp.concat([landmarks.xyz, xp.concat([auxiliary, depth], axis=-1), landmarks.world], axis=-2)
    reach = auxiliary[..., 1, :] - auxiliary[..., 0, :]
    person_size = 2.0 * OBJECT_SCALE * xp.sqrt(xp.sum(reach * reach, axis=-1))[..., None, None]
    person_size = xp.where(person_size > MIN_OBJECT_SIZE, person_size, MIN_OBJECT_SIZE)
    scale = in_pixels / person_size + (1.0 - in_pixels)

    points, smooth = one_euro(
        state.points if state else None,
        values,
        dt if isinstance(dt, (int, float)) else dt[..., None, None],
        min_cutoff=min_cutoff,
        beta=beta,
        value_scale=scale,
        restart=None if restart is None else restart[..., None, None],
    )
    visibility = low_pass(state.visibility if state else None, landmarks.visibility, VISIBILITY_ALPHA)
    if restart is not None:
        visibility = xp.where(restart[..., None], landmarks.visibility, visibility)
    smoothed = Landmarks(
        xyz=smooth[..., :_KEYPOINTS, :] if smooth_keypoints else landmarks.xyz,
        auxiliary_xy=smooth[..., _KEYPOINTS : _KEYPOINTS + _AUXILIARY, :2],
        world=smooth[..., _KEYPOINTS + _AUXILIARY :, :] if smooth_keypoints else landmarks.world,
        visibility=visibility if smooth_keypoints else landmarks.visibility,
        presence=landmarks.presence,
        score=landmarks.score,
        clarity=landmarks.clarity,
        roi=landmarks.roi,
    )
    return Smoothing(points=points, visibility=visibility), smoothed

"""Several people: how alike two of them are, who is a duplicate, who has which id, and whose a pixel is.

Similarities and the tracker are TensorFlow.js's (``pose-detection`` 2.1.0, calculators of MoveNet's multi-pose model):
boxes by intersection over union, keypoints by COCO's object keypoint similarity. There are few people, so these are
small tables on the host; the state of a tracker is a value that goes in and comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ..bodies import BLAZEPOSE, COCO_FROM_BLAZEPOSE
from ..results import Array
from .boxes import box_iou

__all__ = [
    "NO_TRACKS",
    "TrackerKind",
    "Tracks",
    "box_similarity",
    "distinct",
    "expected_keypoints",
    "keypoint_similarity",
    "share_pixels",
    "tight_boxes",
    "torso_distance",
    "track",
]

Floats = npt.NDArray[np.float64]
TrackerKind = Literal["box", "keypoint"]

MAX_TRACKS = 18
MAX_AGE = 1.0  # seconds without being seen after which a person is forgotten
MIN_SIMILARITY = {"box": 0.15, "keypoint": 0.2}
VELOCITY_TIME = 0.3  # seconds over which velocities are averaged
MIN_SCORE = 0.3  # keypoints below it are not compared
MIN_KEYPOINTS = 4
TORSO = [BLAZEPOSE.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "hip")]
# COCO's standard deviations, in square roots of the person's area.
SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000


def tight_boxes(xy: Array) -> Floats:
    """(P, 4) xyxy boxes around (P, K, 2) keypoints."""
    points = np.asarray(xy, np.float64)
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def box_similarity(a: Floats, b: Floats) -> Floats:
    """(A, B) intersection over union of (A, 4) and (B, 4) boxes xyxy."""
    similarity: Floats = box_iou(a[:, None], b[None])
    return similarity


def keypoint_similarity(a: Floats, b: Floats) -> Floats:
    """(A, B) object keypoint similarity of people (A, 33, 3) and (B, 33, 3) of x, y, score.

    The 17 keypoints that COCO has, where both scores are at least `MIN_SCORE`; 0 with fewer than `MIN_KEYPOINTS` of
    them. Distances count in sizes of the second: its tight box.
    """
    a, b = (people[:, COCO_FROM_BLAZEPOSE] for people in (a, b))
    seen = b[..., 2] > MIN_SCORE
    low = np.where(seen[..., None], b[..., :2], np.inf).min(axis=1)
    high = np.where(seen[..., None], b[..., :2], -np.inf).max(axis=1)
    area = np.where(seen.any(axis=1), (high - low).clip(0).prod(axis=1), 0) + 1e-6
    both = (a[:, None, :, 2] >= MIN_SCORE) & (b[None, :, :, 2] >= MIN_SCORE)
    distance2 = ((a[:, None, :, :2] - b[None, :, :, :2]) ** 2).sum(axis=-1)
    alike = np.exp(-distance2 / (2 * area[None, :, None] * (2 * SIGMAS) ** 2))
    count = both.sum(axis=-1)
    return np.where(count >= MIN_KEYPOINTS, (alike * both).sum(axis=-1) / np.maximum(count, 1), 0.0)


def torso_distance(a: Floats, b: Floats) -> Floats:
    """(A, B): distance of the torsos' middles of (A, 33, 2) and (B, 33, 2) keypoints, in the taller one's heights."""
    middles_a, middles_b = (people[:, TORSO].mean(axis=1) for people in (a, b))
    heights_a, heights_b = (np.ptp(people[..., 1], axis=1) for people in (a, b))
    apart = np.linalg.norm(middles_a[:, None] - middles_b[None], axis=-1)
    distance: Floats = apart / np.maximum(np.maximum(heights_a[:, None], heights_b[None]), 1e-6)
    return distance


def distinct(similarity: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """(N,): who stays when everybody goes who is more alike than ``threshold`` to somebody before that stays."""
    stays = np.ones(len(similarity), bool)
    for i in range(1, len(similarity)):
        stays[i] = not (similarity[i, :i] > threshold)[stays[:i]].any()
    return stays


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The people that a tracker remembers: those of the last frame in their order, then the others.

    Attributes:
        ids: (T,) integers from 1.
        keypoints: (T, 33, 3) x, y, score, where they were last seen.
        velocity: (T, 2) of the keypoints' mean, pixels a second.
        seen: (T,) seconds.
        next_id: of the next new person.
    """

    ids: npt.NDArray[np.int64]
    keypoints: Floats
    velocity: Floats
    seen: Floats
    next_id: int


NO_TRACKS = Tracks(
    ids=np.empty(0, np.int64),
    keypoints=np.empty((0, 33, 3)),
    velocity=np.empty((0, 2)),
    seen=np.empty(0),
    next_id=1,
)


def expected_keypoints(tracks: Tracks, time: float) -> Floats:
    """(T, 33, 3): where everybody would be now, had they moved on as before."""
    expected = tracks.keypoints.copy()
    expected[..., :2] += (tracks.velocity * (time - tracks.seen)[:, None])[:, None]
    return expected


def track(
    tracks: Tracks,
    keypoints: Floats,
    time: float,
    *,
    kind: TrackerKind = "box",
    followed: npt.NDArray[np.int64] | None = None,
) -> tuple[Tracks, npt.NDArray[np.int64]]:
    """One frame: gives each person an id, the one that it had before if it was there within `MAX_AGE` seconds.

    Who is followed keeps the id. Of the others each takes, in the order given, the free track that is most alike, if
    it is alike enough; who finds none starts one. A track is compared where it was last seen, and where it would be now
    if it had moved on: somebody who was hidden for a while may have stopped, turned round or gone on.

    Args:
        tracks: of the frame before; `NO_TRACKS` at the start.
        keypoints: (P, 33, 3) x, y, score, the best person first.
        time: seconds.
        kind: what is compared, boxes around the keypoints or the keypoints themselves.
        followed: (P,) ids of the people who were followed here from the frame before; 0 for the others.

    Returns:
        The new state and (P,) ids.
    """
    fresh = time - tracks.seen <= MAX_AGE
    old_ids, old, moved = tracks.ids[fresh], tracks.keypoints[fresh], expected_keypoints(tracks, time)[fresh]
    ids = np.zeros(len(keypoints), np.int64) if followed is None else followed.copy()
    free = (old_ids[:, None] != ids).all(axis=1)
    next_id = tracks.next_id
    for i in np.flatnonzero(ids == 0):
        likeness = np.maximum(*(_likeness(keypoints[i : i + 1], places, kind)[0] for places in (old, moved)))
        candidates = np.where(free, likeness, -1.0)
        best = int(np.argmax(candidates)) if len(candidates) else -1
        if best >= 0 and candidates[best] >= MIN_SIMILARITY[kind]:
            free[best], ids[i] = False, old_ids[best]
        else:
            ids[i], next_id = next_id, next_id + 1
    state = Tracks(
        ids=np.concatenate([ids, old_ids[free]])[:MAX_TRACKS],
        keypoints=np.concatenate([keypoints, old[free]])[:MAX_TRACKS],
        velocity=np.concatenate([_velocities(tracks, ids, keypoints, time), tracks.velocity[fresh][free]])[:MAX_TRACKS],
        seen=np.concatenate([np.full(len(ids), time), tracks.seen[fresh][free]])[:MAX_TRACKS],
        next_id=next_id,
    )
    return state, ids


def _likeness(person: Floats, others: Floats, kind: TrackerKind) -> Floats:
    if kind == "box":
        return box_similarity(tight_boxes(person[..., :2]), tight_boxes(others[..., :2]))
    return keypoint_similarity(person, others)


def _velocities(tracks: Tracks, ids: npt.NDArray[np.int64], keypoints: Floats, time: float) -> Floats:
    """(P, 2): how fast people move now who were the tracks ``ids``; 0 for who is new."""
    velocity = np.zeros((len(ids), 2))
    for i, before in zip(*np.nonzero(ids[:, None] == tracks.ids), strict=True):
        elapsed = time - tracks.seen[before]
        now = (keypoints[i, :, :2] - tracks.keypoints[before, :, :2]).mean(axis=0) / elapsed
        weight = 1 - np.exp(-elapsed / VELOCITY_TIME)
        velocity[i] = weight * now + (1 - weight) * tracks.velocity[before]
    return velocity


# How fast a claim falls with the distance from a body's bones, per radius: inside the body, and outside of it.
CLAIM_FALLS = (1.0, 4.0)
CLAIM_OF_SIZE = 4  # power of the size: who is larger is nearer, and hides who is behind


def share_pixels(masks: Array, distances: Array, sizes: Array) -> Array:
    """The masks of P people in the same pixels, made small where another's claim is larger.

    A claim is the mask's probability, falling with the distance from the body's bones (`parts.body_distance`) and
    rising with the person's size: where two masks are both sure, as they are where people touch, the body that the
    pixel lies in has it, and of two such bodies the one that is nearer to the camera. At most one of the results is
    above 0.5.

    Args:
        masks: (P, ...) probabilities, P >= 2.
        distances: (P, ...) distances from the bodies, in radii of their bones.
        sizes: (P,) of the people in pixels.
    """
    xp = array_namespace(masks)
    inside = xp.clip(distances, None, 1.0)
    nearness = xp.reshape((sizes / xp.max(sizes)) ** CLAIM_OF_SIZE, (-1, *([1] * (masks.ndim - 1))))
    claims = masks * nearness * xp.exp(-CLAIM_FALLS[0] * inside - CLAIM_FALLS[1] * (distances - inside))
    ordered = xp.sort(claims, axis=0)
    largest, second = ordered[-1], ordered[-2]
    rival = xp.where(claims >= largest, second, largest)
    return masks * claims / xp.clip(claims + rival, 1e-30, None)

"""Finding all people of a picture: the detector over overlapping views of it, and a second look at whom it found.

BlazePose's detector sees a picture at 224 x 224 pixels and was made for one person near the camera: of several, small
or half hidden people in a whole picture it misses many. In views of parts of the picture it finds them, and invents
others: clouds, cats and cups have faces. So each candidate must pass:

1. *Presence*: the landmark network, run on the candidate's region and once more on the region that it gives itself,
   says that there is a person, and gives nearly the same keypoints both times.
2. *Agreement*: what the detector invents in one view it seldom invents in another. So either the detector, shown the
   candidate in the middle of views of several sizes, finds the same person again with a high score (the second look),
   or it had found the person in several views at once, and from each the landmark network gives the same pose.
3. *Distinctness*: nobody before has the same face or the same keypoints.

This module knows pictures and networks only as two functions, `Look` and `Observe`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..numbers.boxes import box_iou
from ..numbers.tracking import Landmarks, next_roi

__all__ = ["Candidates", "Look", "Observe", "find_people", "search_views", "verify"]

Floats = npt.NDArray[np.float64]

# Sides of the views in sides of the picture, and how far neighbours lie apart in sides of the view.
LEVELS = (0.7, 0.5, 0.35, 0.25)
STRIDE = 0.5
SMALLEST_VIEW = 96  # pixels; smaller views show nothing that the detector could use

CANDIDATE_SCORE = 0.4  # of the detector in a view
PRESENCE = 0.5
STEADINESS = 0.3  # of keypoints between the two runs of the landmark network, in [0, 1]
SECOND_LOOK_VIEWS = (0.7, 1.0, 1.5, 2.2)  # sides in sides of the region
SECOND_LOOK_SCORE = 0.6
AGREEING_VIEWS = 5  # that need no second look; clouds and cats reach 3
MOST_AGREEING = 10  # members of a group that are asked

ONE_REGION = (
    0.15,
    0.4,
)  # regions of one person: centres apart, in sizes of the smaller; logarithm of their sizes apart
SEEN_AGAIN = (0.25, 0.4)  # the same between a candidate and the second look
SAME_FACE = 0.3  # intersection over union
SAME_KEYPOINTS = 0.3  # likeness in [0, 1]
COMPARED = (0, 7, 8, 11, 12, 13, 14, 23, 24, 25, 26)  # nose, ears, shoulders, elbows, hips, knees
BODY = 2.5  # a region is so many times as large as the person's half height


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What the detector found in some views.

    Attributes:
        rois: (N, 4) regions of the landmark network.
        faces: (N, 4) boxes xyxy, pixels of the picture.
        scores: (N,).
    """

    rois: Floats
    faces: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, keep: npt.NDArray[np.intp]) -> Candidates:
        return Candidates(self.rois[keep], self.faces[keep], self.scores[keep])


Look = Callable[[Floats, float], Candidates]
"""Views (V, 4) as regions, and the least score -> what the detector finds in them."""

Observe = Callable[[Floats], Landmarks]
"""Regions (P, 4), P >= 1 -> what the landmark network says."""


def search_views(size_hw: tuple[int, int]) -> Floats:
    """(V, 4): the overlapping square views of a picture, large ones first; the whole picture is not among them."""
    height, width = size_hw
    views = []
    for level in LEVELS:
        side = level * max(size_hw)
        if side >= SMALLEST_VIEW:
            places = [_places(length, side) for length in (height, width)]
            views += [(x, y, side, 0.0) for y, x in itertools.product(*places)]
    return np.array(views, np.float64).reshape(-1, 4)


def _places(length: int, side: float) -> list[float]:
    """Centres of views of ``side`` pixels along ``length`` pixels."""
    if length <= side:
        return [length / 2]
    steps = int(np.ceil((length - side) / (STRIDE * side) - 1e-6))
    return [float(place) for place in np.linspace(side / 2, length - side / 2, steps + 1)]


def find_people(look: Look, observe: Observe, views: Floats, known: Floats) -> Floats:
    """The regions of people in some views who are not among those already known.

    Args:
        look, observe: the detector and the landmark network on the picture.
        views: (V, 4), as of `search_views`.
        known: (K, 4) regions of people who need not be found.

    Returns:
        (N, 4) regions, the surest first.
    """
    if not len(views):
        return np.empty((0, 4))
    found = look(views, CANDIDATE_SCORE)
    found = found[np.argsort(-found.scores, kind="stable")]
    kept: list[int] = []
    for i in range(len(found)):
        others = np.concatenate([known, found.rois[kept]])
        if not _alike(found.rois[i], others, ONE_REGION).any():
            kept.append(i)
    groups = [found.rois[_alike(found.rois[i], found.rois, SEEN_AGAIN)][:MOST_AGREEING] for i in kept]
    return verify(look, observe, found[np.array(kept, np.intp)], known, groups)


def verify(
    look: Look, observe: Observe, candidates: Candidates, known: Floats, groups: Sequence[Floats] | None = None
) -> Floats:
    """The regions of those candidates who are people, and none of the ``known`` nor of each other; the surest first.

    Args:
        look, observe, known: as for `find_people`.
        candidates: what the detector found.
        groups: for each candidate the regions, one a view, in which it may be seen, its own among them.
    """
    if not len(candidates):
        return np.empty((0, 4))
    first = observe(candidates.rois)
    likely = np.nonzero(first.score >= PRESENCE / 2)[0]
    if not len(likely):
        return np.empty((0, 4))
    second = observe(next_roi(first.auxiliary_xy[likely]))
    steady = np.array(
        [
            _likeness(a, b, roi[2], spread=0.1)
            for a, b, roi in zip(first.xyz[likely], second.xyz, second.roi, strict=True)
        ]
    )
    people = []
    for i in np.nonzero((second.score >= PRESENCE) & (steady >= STEADINESS))[0]:
        roi = next_roi(second.auxiliary_xy[i])
        score, face = _second_look(look, roi)
        if score == 0.0 and groups is not None and _views_agree(observe, second.xyz[i], groups[likely[i]]):
            score, face = SECOND_LOOK_SCORE, candidates.faces[likely[i]]
        if score > 0.0:
            people.append((score + steady[i], second.xyz[i], roi, face))
    people.sort(key=lambda person: -person[0])

    before = observe(known) if people and len(known) else None
    seen = [] if before is None else [(xyz, roi) for xyz, roi in zip(before.xyz, before.roi, strict=True)]
    faces: list[Floats] = []
    accepted = []
    for _, xyz, roi, face in people:
        repeated = any(_likeness(xyz, other, min(roi[2], size[2]), spread=0.2) > SAME_KEYPOINTS for other, size in seen)
        if repeated or any(box_iou(face, other) > SAME_FACE for other in faces) or _has_face_of(face, before):
            continue
        accepted.append(roi)
        seen.append((xyz, roi))
        faces.append(face)
    return np.array(accepted, np.float64).reshape(-1, 4)


def _second_look(look: Look, roi: Floats) -> tuple[float, Floats]:
    """The score with which the detector finds the person of a region again, 0 if it does not, and the face's box."""
    for factor in SECOND_LOOK_VIEWS:
        found = look(np.array([[roi[0], roi[1], factor * roi[2], 0.0]]), SECOND_LOOK_SCORE)
        again = np.nonzero(_alike(roi, found.rois, SEEN_AGAIN))[0]
        if len(again):
            best = again[np.argmax(found.scores[again])]
            return float(found.scores[best]), found.faces[best]
    return 0.0, np.zeros(4)


def _views_agree(observe: Observe, pose: Floats, rois: Floats) -> bool:
    """Whether the landmark network sees the pose in enough regions that the detector found by themselves."""
    if len(rois) < AGREEING_VIEWS:
        return False
    seen = observe(rois)
    alike = [_likeness(pose, xyz, roi[2], spread=0.1) >= STEADINESS for xyz, roi in zip(seen.xyz, rois, strict=True)]
    return bool(np.count_nonzero((seen.score >= PRESENCE) & np.array(alike)) >= AGREEING_VIEWS)


def _alike(roi: Floats, others: Floats, limits: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """(N,): which of (N, 4) regions lie where this one does and are as large."""
    apart = np.hypot(others[:, 0] - roi[0], others[:, 1] - roi[1])
    near = apart < limits[0] * np.minimum(others[:, 2], roi[2])
    alike: npt.NDArray[np.bool_] = near & (np.abs(np.log(others[:, 2] / roi[2])) < limits[1])
    return alike


def _likeness(a: Floats, b: Floats, roi_size: float, *, spread: float) -> float:
    """In [0, 1]: how near the keypoints of two poses lie, in half heights of the person times ``spread``."""
    distance = np.linalg.norm(a[COMPARED, :2] - b[COMPARED, :2], axis=1) / (roi_size / BODY * spread)
    return float(np.exp(-(distance**2) / 2).mean())


def _has_face_of(face: Floats, known: Landmarks | None) -> bool:
    """Whether the head of somebody known lies in the middle of a face's box."""
    if known is None:
        return False
    heads = known.xyz[:, [0, 7, 8], :2].mean(axis=1)
    centre, width = (face[:2] + face[2:]) / 2, face[2] - face[0]
    return bool((np.linalg.norm(heads - centre, axis=1) < 0.5 * width).any())

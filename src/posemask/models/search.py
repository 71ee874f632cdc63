"""Finding all people of a picture: the detector over overlapping views of it, and the landmark network to judge.

BlazePose's detector sees a picture at 224 x 224 pixels and was made for one person near the camera: of several, small
or half hidden people in a whole picture it misses many. In views of parts of the picture it finds them, and invents
others: clouds, cats and cups have faces. The landmark network, too, says of many of these that a person is there. But
its heat maps stay flat (`posemask.numbers.landmarks.heatmap_clarity`). And it wants to see a body, where two face
detectors are content with a face. So whoever one of the three names is only a candidate, and the landmark network

1. *settles*: it looks at regions of several sizes around the candidate, and from the clearest twice at the region that
   follows from what it saw;
2. *judges*: there it must see a person, and clearly. The evidence is that clarity and, for a little, how sure the
   detector is of this person: half its best score in any view, half its mean score in a second look at views with the
   person in the middle. Who is there is seen in most of these; a chance likeness is not. For a little more, it is how
   sure the face detectors are of a face just where the landmark network sees it;
3. *compares*: nobody before has the same face or the same keypoints, and who lies within somebody else (often a hand
   or a shirt that was taken for a body) needs more evidence.

People come in groups: where one is sure to be, others are believed on a little less evidence.

This module knows pictures and networks only as functions, `Look`, `LookForFaces` and `Observe`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..numbers.rows import Rows, joined
from ..numbers.tracking import Landmarks, next_roi
from .faces import Faces

__all__ = [
    "Candidates",
    "Look",
    "LookForFaces",
    "Observe",
    "find_people",
    "regions_of",
    "search_views",
    "sure_faces",
    "verify",
]

Floats = npt.NDArray[np.float64]

# Sides of the views in sides of the picture, and how far neighbours lie apart in sides of the view.
LEVELS = (0.7, 0.5, 0.35, 0.25)
STRIDE = 0.5
SMALLEST_VIEW = 96  # pixels; smaller views show nothing that the detector could use

CANDIDATE_SCORE = 0.3  # of the detector in a view
# Regions of one person: centres apart, in sizes of the smaller; logarithm of their sizes apart.
ONE_REGION = (0.25, 0.5)  # which need not both be looked at
ONE_PERSON = (0.25, 0.4)  # what the detector found, and where the landmark network settled

NEXT_REGION = (0.1, 0.15)  # of two candidates who have become one, the clearer is followed

STARTS = (0.8, 1.25)  # sizes of the first regions, in sizes of the candidate's
PRESENCE = 0.5
HOPELESS = 0.36  # clarity in the best of the first regions, below which the next will not be clear either
UNCLEAR = 0.42  # clarity in the last region, below which no score of the detector would help
SECOND_LOOK = (0.7, 1.0, 1.5, 2.2)  # sides of the detector's views around a person, in sizes of the region
FAINT = 0.02  # the least score that counts there
SCORE_WEIGHT = 0.2  # evidence is clarity and so much of the detector's score
FACE_WEIGHT = 0.25  # and so much of the face's
INSIDE = 0.5  # share of the box around the keypoints, above which somebody lies within others

SAME_KEYPOINTS = 0.3  # likeness in [0, 1]
COMPARED = (0, 7, 8, 11, 12, 13, 14, 23, 24, 25, 26)  # nose, ears, shoulders, elbows, hips, knees
FACE = slice(0, 11)
SAME_FACE = 0.5  # centres apart, in the larger one's widths
BODY = 2.5  # a region is so many times as large as the person's half height

FACE_SCORE = 0.5  # of a face detector in a view
ONE_FACE = 0.5  # centres apart, in the larger one's sizes
FACE_VIEWS = (2.0, 3.0, 4.5, 7.0)  # sides of the views of the second look at a face, in its sizes
FACE_SURE = 0.4  # the least mean score of a face in them
# The region of whoever has a face of size 1: how far its centre lies below the face's, and its size. In 20 pictures of
# whole and half bodies the means were 4.1 and 13.7, the standard deviations 0.6 and 1.7.
REGION_OF_FACE = (4.0, 14.0)
FACE_POINTS = ((5,), (2,), (0,), (9, 10))  # keypoints whose means are what face detectors call eyes, nose and mouth
MOST_BENT = np.pi / 3  # between a head and its body
SAME_POINTS = 0.35  # mean distance of these from the detected ones, in sizes of the face, of one face


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much evidence is needed; docs/people.md tells of what was seen with how much of it.

    Attributes:
        sure: alone.
        likely: in company of somebody whose body is sure, without the face.
        within: of whoever lies within others.
    """

    sure: float
    likely: float
    within: float


class Evidence(NamedTuple):
    """How much speaks for each of P people: (P,) their bodies, and their faces."""

    body: Floats
    face: Floats


IN_PICTURES = Limits(sure=0.7, likely=0.56, within=0.76)
IN_STREAMS = Limits(sure=0.73, likely=0.64, within=0.8)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates(Rows):
    """What the detector found in some views.

    Attributes:
        rois: (N, 4) regions of the landmark network.
        scores: (N,).
        views: (N,) which of the views each was found in.
    """

    rois: Floats
    scores: Floats
    views: npt.NDArray[np.intp]


Look = Callable[[Floats, float], Candidates]
"""Views (V, 4) as regions, and the least score -> what the detector finds in them."""

LookForFaces = Callable[[Floats, float], Sequence[Faces]]
"""The same of each face detector."""

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


def find_people(look: Look, look_for_faces: LookForFaces, observe: Observe, views: Floats, known: Floats) -> Floats:
    """The regions of people in some views who are not among those already known.

    Args:
        look, look_for_faces, observe: the detectors and the landmark network on the picture.
        views: (V, 4), as of `search_views`.
        known: (K, 4) regions of people who need not be found.

    Returns:
        (N, 4) regions, the surest first.
    """
    if not len(views):
        return np.empty((0, 4))
    found = look(views, CANDIDATE_SCORE)
    faces = sure_faces(look_for_faces, views)
    candidates = np.concatenate([found.rois[np.argsort(-found.scores, kind="stable")], regions_of(faces)])
    kept: list[int] = []
    for i, roi in enumerate(candidates):
        if not _alike(roi, np.concatenate([known, candidates[kept]]), ONE_REGION).any():
            kept.append(i)

    def evidence(seen: Landmarks) -> Evidence:
        scores = (_best_scores(found, seen.roi) + _second_look(look, seen.roi)) / 2
        return Evidence(seen.clarity + SCORE_WEIGHT * scores, FACE_WEIGHT * _face_scores(faces, seen))

    return _judge(observe, candidates[kept], known, evidence, IN_PICTURES)


def verify(observe: Observe, candidates: Floats, known: Floats, found: Candidates, faces: Faces) -> Floats:
    """The regions of those candidates who are people, and none of the ``known`` nor of each other; the surest first.

    For streams: it spares the detector's second look.

    Args:
        observe, known: as for `find_people`.
        candidates: (N, 4) regions in which somebody may be.
        found: all that the detector found, also the same person in several views.
        faces: as of `sure_faces`.
    """

    def evidence(seen: Landmarks) -> Evidence:
        body = seen.clarity + SCORE_WEIGHT * _best_scores(found, seen.roi)
        return Evidence(body, FACE_WEIGHT * _face_scores(faces, seen))

    return _judge(observe, candidates, known, evidence, IN_STREAMS)


def _judge(
    observe: Observe, candidates: Floats, known: Floats, evidence_of: Callable[[Landmarks], Evidence], limits: Limits
) -> Floats:
    """As `verify`; ``evidence_of`` says how much speaks for each of P >= 1 people."""
    nobody = np.empty((0, 4))
    seen = _settle(observe, candidates) if len(candidates) else None
    if seen is None or not len(seen.score):
        return nobody
    evidence = evidence_of(seen)
    total = evidence.body + evidence.face
    if total.max() < limits.likely:
        return nobody
    before = observe(known) if len(known) else None
    people = [] if before is None else list(zip(before.xyz, before.roi[:, 2], strict=True))
    company = evidence.body.max() >= limits.sure or (
        before is not None and evidence_of(before).body.max() >= limits.sure
    )
    needed = limits.likely if company else limits.sure
    accepted = []
    for i in np.argsort(-total, kind="stable"):
        if total[i] < needed:
            break
        person = seen.xyz[i], seen.roi[i, 2]
        if any(_same_person(person, other) for other in people):
            continue
        if total[i] >= limits.within or sum(_share_inside(person[0], other) for other, _ in people) <= INSIDE:
            accepted.append(i)
            people.append(person)
    rois: Floats = seen.roi[accepted].reshape(-1, 4)
    return rois


def _best_scores(found: Candidates, rois: Floats) -> Floats:
    """(P,): the best score that the detector gave to people in any view; 0 to whom it did not see."""
    return np.array([found.scores[_alike(roi, found.rois, ONE_PERSON)].max(initial=0.0) for roi in rois])


def _second_look(look: Look, rois: Floats) -> Floats:
    """(P,): the mean score that the detector gives to people in views of several sizes around them."""
    found = look(_views_around(rois[:, :2], rois[:, 2], SECOND_LOOK), FAINT)
    scores = np.zeros((len(rois), len(SECOND_LOOK)))
    for row, (i, j) in enumerate(zip(*np.divmod(found.views, len(SECOND_LOOK)), strict=True)):
        if _alike(rois[i], found.rois[row : row + 1], ONE_PERSON)[0]:
            scores[i, j] = max(scores[i, j], found.scores[row])
    mean: Floats = scores.mean(axis=1)
    return mean


def _views_around(centers: Floats, sizes: Floats, factors: tuple[float, ...]) -> Floats:
    """(N * F, 4): around each of (N, 2) places, the square views of so many times its size (N,)."""
    sides = sizes[:, None] * factors
    x, y = (np.broadcast_to(axis[:, None], sides.shape) for axis in centers.T)
    return np.stack([x, y, sides, np.zeros_like(sides)], axis=-1).reshape(-1, 4)


def sure_faces(
    look_for_faces: LookForFaces, views: Floats, known: Floats | None = None, most: int | None = None
) -> Faces:
    """The faces in some views that both detectors see in a second look, with their mean scores there; each once.

    Args:
        look_for_faces: the face detectors on the picture.
        views: (V, 4), V >= 1.
        known: (K, 2) where the faces are that need not be found.
        most: so many of the best are looked at again, the others left; None for all.
    """
    found = joined(look_for_faces(views, FACE_SCORE))
    if known is not None:
        apart = np.linalg.norm(found.centers[:, None] - known, axis=-1)
        found = found[(apart > ONE_FACE * found.sizes[:, None]).all(axis=1)]
    kept: list[int] = []
    for i in np.argsort(-found.scores, kind="stable"):
        apart = np.linalg.norm(found.centers[kept] - found.centers[i], axis=1)
        if (apart > ONE_FACE * np.maximum(found.sizes[kept], found.sizes[i])).all():
            kept.append(i)
    faces = found[kept[:most]]
    if not len(faces):
        return faces
    second_look = look_for_faces(_views_around(faces.centers, faces.sizes, FACE_VIEWS), FAINT)
    scores = np.zeros((len(second_look), len(faces), len(FACE_VIEWS)))
    for detector, seen in zip(scores, second_look, strict=True):
        face, view = np.divmod(seen.views, len(FACE_VIEWS))
        apart = np.linalg.norm(seen.centers - faces.centers[face], axis=1)
        same = apart < ONE_FACE * np.maximum(seen.sizes, faces.sizes[face])
        np.maximum.at(detector, (face[same], view[same]), seen.scores[same])
    means = scores.mean(axis=(0, 2))
    return replace(faces, scores=means)[means >= FACE_SURE]


def _rolls(faces: Faces) -> Floats:
    """(N,): how far faces are turned, radians: 0 upright, clockwise as `posemask.numbers.geometry` has it."""
    across = faces.points[:, 1] - faces.points[:, 0]  # from eye to eye
    rolls: Floats = np.arctan2(across[:, 1], across[:, 0])
    return rolls


def regions_of(faces: Faces) -> Floats:
    """(N, 4): where the bodies should be that have these faces."""
    roll = _rolls(faces)
    turned = np.where(np.abs(roll) > np.pi / 4, roll, 0.0)  # heads tilt on upright bodies
    below, size = REGION_OF_FACE
    down = np.stack([-np.sin(turned), np.cos(turned)], axis=1)
    centers = faces.centers + below * faces.sizes[:, None] * down
    return np.concatenate([centers, (size * faces.sizes)[:, None], turned[:, None]], axis=1)


def _face_scores(faces: Faces, seen: Landmarks) -> Floats:
    """(P,): the score of the face whose eyes, nose and mouth lie where the landmark network sees them; 0 without.

    A head does not sit upside down or crosswise on its body.
    """
    own = np.stack([seen.xyz[:, points, :2].mean(axis=1) for points in FACE_POINTS], axis=1)
    apart = np.linalg.norm(own[:, None] - faces.points[:, : len(FACE_POINTS)], axis=-1).mean(axis=-1)
    bent = np.cos(_rolls(faces) - seen.roi[:, 3:]) < np.cos(MOST_BENT)
    same = (apart < SAME_POINTS * faces.sizes) & ~bent
    scores: Floats = np.where(same, faces.scores, 0.0).max(axis=1, initial=0.0)
    return scores


def _settle(observe: Observe, candidates: Floats) -> Landmarks:
    """Where the landmark network sees the candidates after a few looks, without those whom it does not see clearly."""
    starts = candidates[:, None] * np.array([[1.0, 1.0, factor, 1.0] for factor in STARTS])
    first = observe(starts.reshape(-1, 4))
    clarity = first.clarity.reshape(len(candidates), len(STARTS))
    best = np.arange(len(candidates)) * len(STARTS) + clarity.argmax(axis=1)
    seen = first[best[clarity.max(axis=1) >= HOPELESS]]
    for _ in range(2):
        if len(seen.score):
            seen = observe(_distinct(next_roi(seen.auxiliary_xy), seen.clarity))
    return seen[np.flatnonzero((seen.score >= PRESENCE) & (seen.clarity >= UNCLEAR))]


def _distinct(rois: Floats, clarity: Floats) -> Floats:
    """Regions without those of the same place and size as a clearer one's; the clearest first."""
    kept: list[int] = []
    for i in np.argsort(-clarity, kind="stable"):
        if not _alike(rois[i], rois[kept], NEXT_REGION).any():
            kept.append(i)
    return rois[kept]


def _alike(roi: Floats, others: Floats, limits: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """(N,): which of (N, 4) regions lie where this one does and are as large."""
    apart = np.hypot(others[:, 0] - roi[0], others[:, 1] - roi[1])
    near = apart < limits[0] * np.minimum(others[:, 2], roi[2])
    alike: npt.NDArray[np.bool_] = near & (np.abs(np.log(others[:, 2] / roi[2])) < limits[1])
    return alike


def _same_person(a: tuple[Floats, float], b: tuple[Floats, float]) -> bool:
    """Whether two poses, keypoints and size of the region, have the same keypoints or the same face."""
    (xyz, size), (other, other_size) = a, b
    distance = np.linalg.norm(xyz[COMPARED, :2] - other[COMPARED, :2], axis=1)
    distance /= min(size, other_size) / BODY * 0.2
    if np.exp(-(distance**2) / 2).mean() > SAME_KEYPOINTS:
        return True
    faces = xyz[FACE, :2], other[FACE, :2]
    width = max(float(np.ptp(face, axis=0).max()) for face in faces)
    return bool(np.linalg.norm(faces[0].mean(axis=0) - faces[1].mean(axis=0)) < SAME_FACE * width)


def _share_inside(xyz: Floats, other: Floats) -> float:
    """Which share of the box around somebody's keypoints lies in the box around somebody else's."""
    (low, high), (other_low, other_high) = ((pose[:, :2].min(axis=0), pose[:, :2].max(axis=0)) for pose in (xyz, other))
    shared = np.clip(np.minimum(high, other_high) - np.maximum(low, other_low), 0, None)
    return float(shared.prod() / np.maximum((high - low).prod(), 1e-9))

"""Finding all people of a picture: the detector over overlapping views of it, and the landmark network to judge.

BlazePose's detector sees a picture at 224 x 224 pixels and was made for one person near the camera: of several, small
or half hidden people in a whole picture it misses many. In views of parts of the picture it finds them, and invents
others: clouds, cats and cups have faces. The landmark network, too, says of many of these that a person is there. But
its heat maps stay flat (`posemask.numbers.landmarks.heatmap_clarity`). So whoever the detector names is only a
candidate, and the landmark network

1. *settles*: it looks at regions of several sizes around the candidate, and from the clearest twice at the region that
   follows from what it saw;
2. *judges*: there it must see a person, and clearly. The evidence is that clarity and, for a little, how sure the
   detector is of this person: half its best score in any view, half its mean score in a second look at views with the
   person in the middle. Who is there is seen in most of these; a chance likeness is not;
3. *compares*: nobody before has the same face or the same keypoints, and who lies within somebody else (often a hand
   or a shirt that was taken for a body) needs more evidence.

People come in groups: where one is sure to be, others are believed on a little less evidence.

This module knows pictures and networks only as two functions, `Look` and `Observe`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from ..numbers.tracking import Landmarks, next_roi

__all__ = ["Candidates", "Look", "Observe", "find_people", "search_views", "verify"]

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
INSIDE = 0.5  # share of the box around the keypoints, above which somebody lies within others

SAME_KEYPOINTS = 0.3  # likeness in [0, 1]
COMPARED = (0, 7, 8, 11, 12, 13, 14, 23, 24, 25, 26)  # nose, ears, shoulders, elbows, hips, knees
FACE = slice(0, 11)
SAME_FACE = 0.5  # centres apart, in the larger one's widths
BODY = 2.5  # a region is so many times as large as the person's half height


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much evidence is needed; docs/people.md tells of what was seen with how much of it.

    Attributes:
        sure: alone.
        likely: in company of somebody who is sure.
        within: of whoever lies within others.
    """

    sure: float
    likely: float
    within: float


IN_PICTURES = Limits(sure=0.68, likely=0.56, within=0.76)
IN_STREAMS = Limits(sure=0.73, likely=0.64, within=0.8)


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
    kept: list[int] = []
    for i in np.argsort(-found.scores, kind="stable"):
        if not _alike(found.rois[i], np.concatenate([known, found.rois[kept]]), ONE_REGION).any():
            kept.append(i)

    def scores(rois: Floats) -> Floats:
        return (_best_scores(found, rois) + _second_look(look, rois)) / 2

    return _judge(observe, found.rois[kept], known, scores, IN_PICTURES)


def verify(observe: Observe, candidates: Floats, known: Floats, found: Candidates) -> Floats:
    """The regions of those candidates who are people, and none of the ``known`` nor of each other; the surest first.

    For streams: it spares the detector's second look.

    Args:
        observe, known: as for `find_people`.
        candidates: (N, 4) regions in which somebody may be.
        found: all that the detector found, also the same person in several views.
    """
    return _judge(observe, candidates, known, partial(_best_scores, found), IN_STREAMS)


def _judge(
    observe: Observe, candidates: Floats, known: Floats, scores: Callable[[Floats], Floats], limits: Limits
) -> Floats:
    """As `verify`; ``scores`` says how sure the detector is of whoever is in regions (P, 4), P >= 1."""
    nobody = np.empty((0, 4))
    seen = _settle(observe, candidates) if len(candidates) else None
    if seen is None or not len(seen.score):
        return nobody
    evidence = seen.clarity + SCORE_WEIGHT * scores(seen.roi)
    likely = [i for i in np.argsort(-evidence, kind="stable") if evidence[i] >= limits.likely]
    if not likely:
        return nobody
    before = observe(known) if len(known) else None
    people = [] if before is None else list(zip(before.xyz, before.roi[:, 2], strict=True))
    if evidence[likely[0]] < limits.sure and (
        before is None or (before.clarity + SCORE_WEIGHT * scores(before.roi)).max() < limits.sure
    ):
        return nobody
    accepted = []
    for i in likely:
        person = seen.xyz[i], seen.roi[i, 2]
        if any(_same_person(person, other) for other in people):
            continue
        if evidence[i] >= limits.within or sum(_share_inside(person[0], other) for other, _ in people) <= INSIDE:
            accepted.append(i)
            people.append(person)
    rois: Floats = seen.roi[accepted].reshape(-1, 4)
    return rois


def _best_scores(found: Candidates, rois: Floats) -> Floats:
    """(P,): the best score that the detector gave to people in any view; 0 to whom it did not see."""
    return np.array([found.scores[_alike(roi, found.rois, ONE_PERSON)].max(initial=0.0) for roi in rois])


def _second_look(look: Look, rois: Floats) -> Floats:
    """(P,): the mean score that the detector gives to people in views of several sizes around them."""
    scores = np.zeros((len(rois), len(SECOND_LOOK)))
    for i, (x, y, size, _) in enumerate(rois):
        for j, factor in enumerate(SECOND_LOOK):
            found = look(np.array([[x, y, factor * size, 0.0]]), FAINT)
            scores[i, j] = found.scores[_alike(rois[i], found.rois, ONE_PERSON)].max(initial=0.0)
    mean: Floats = scores.mean(axis=1)
    return mean


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

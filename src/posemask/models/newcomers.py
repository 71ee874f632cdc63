"""Who else is in a frame of a stream: the detector's people, and those of a search spread over frames."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from ..numbers.boxes import squares
from ..numbers.geometry import letterbox_roi
from ..numbers.people import box_similarity
from ..numbers.rows import joined
from ..numbers.tracking import next_roi
from .blazepose import BlazePose, Floats, Picture, detect, look, look_at_faces, observe_landmarks
from .search import SCORE_WEIGHT, Candidates, regions_of, search_views, sure_faces, verify

__all__ = ["newcomers"]

SAME_REGION = 0.5  # intersection over union above which the detector found somebody who is followed already
CLEAR = 0.59  # evidence, as of `search`, that suffices for whom the detector found in the whole frame
# A stream's thorough search looks at so many views a frame, one after the other, and verifies at most so many people.
ROLLING_VIEWS, ROLLING_CANDIDATES = 2, 1


def newcomers(
    model: BlazePose, image: Picture, followed: Floats, faces_followed: Floats, max_people: int, views_seen: int
) -> tuple[Floats, int]:
    """Regions of people who are not followed yet, and how many views of the rolling search have been seen now.

    Args:
        model, image: the networks, and the frame.
        followed: (F, 4) regions of those who are followed.
        faces_followed: (F, 2) where their faces were.
        max_people: how many people are wanted, F < max_people.
        views_seen: as before.
    """
    if model.search == "fast":
        rois = detect(model, image, max_people)
        return rois[_new(rois, followed)], views_seen
    size_hw = (image.shape[0], image.shape[1])
    whole = look(model, image, np.array([letterbox_roi(size_hw)]), model.min_detection_score)
    unknown = np.flatnonzero(_new(whole.rois, followed))[: max_people - len(followed)]
    clear = _seen_clearly(model, image, whole[unknown])
    known = np.concatenate([followed, clear])
    views = search_views(size_hw)
    if len(known) == max_people or not len(views):
        return clear, views_seen
    due = views[np.arange(views_seen, views_seen + ROLLING_VIEWS) % len(views)]
    found = look(model, image, due, model.min_detection_score)
    others = found[np.flatnonzero(_new(found.rois, known))]
    faces = sure_faces(partial(look_at_faces, model, image), due, faces_followed, ROLLING_CANDIDATES)
    of_faces = regions_of(faces)
    # Whose face is seen comes first: the detector looks for bodies, and finds the clearest of them in the whole frame.
    candidates = np.concatenate(
        [of_faces[_new(of_faces, known)], others.rois[np.argsort(-others.scores, kind="stable")]]
    )
    people = verify(
        partial(observe_landmarks, model, image),
        candidates[:ROLLING_CANDIDATES],
        known,
        joined([whole, found]),
        faces,
    )
    return np.concatenate([clear, people]), views_seen + ROLLING_VIEWS


def _seen_clearly(model: BlazePose, image: Picture, found: Candidates) -> Floats:
    """Where the landmark network clearly sees those whom the detector found: (N, 4), N <= len(found).

    It looks twice, because the first look is often off: half of somebody who enters is in the picture, and the
    detector guesses the rest.
    """
    if not len(found):
        return found.rois
    first = observe_landmarks(model, image, found.rois)
    second = observe_landmarks(model, image, next_roi(first.auxiliary_xy))
    clarity, score, roi = (
        np.stack([getattr(seen, name) for seen in (first, second)]) for name in ("clarity", "score", "roi")
    )
    clearer = clarity.argmax(axis=0), np.arange(len(found))
    evidence = clarity[clearer] + SCORE_WEIGHT * found.scores
    people: Floats = roi[clearer][(score[clearer] >= model.min_presence_score) & (evidence >= CLEAR)]
    return people


def _new(rois: Floats, followed: Floats) -> npt.NDArray[np.bool_]:
    """(N,): which regions (N, 4) show nobody who is followed."""
    if not len(followed):
        return np.ones(len(rois), bool)
    new: npt.NDArray[np.bool_] = box_similarity(squares(rois), squares(followed)).max(axis=1) <= SAME_REGION
    return new

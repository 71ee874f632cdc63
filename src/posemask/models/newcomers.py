"""Who else is in a frame of a stream: the detector's people, and those of a search spread over frames."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from ..numbers.geometry import letterbox_roi
from ..numbers.people import box_similarity
from .blazepose import BlazePose, Floats, Picture, detect, look, observe_landmarks, squares
from .search import search_views, verify

__all__ = ["newcomers"]

SAME_REGION = 0.5  # intersection over union above which the detector found somebody who is followed already
# A stream's thorough search looks at so many views a frame, one after the other, and verifies at most so many people.
ROLLING_VIEWS, ROLLING_CANDIDATES = 2, 1


def newcomers(
    model: BlazePose, image: Picture, followed: Floats, max_people: int, views_seen: int
) -> tuple[Floats, int]:
    """Regions of people who are not followed yet, and how many views of the rolling search have been seen now."""
    if model.search == "fast":
        rois = detect(model, image, max_people)
        return rois[_new(rois, followed)], views_seen
    whole = np.array([letterbox_roi((image.shape[0], image.shape[1]))])
    views = search_views((image.shape[0], image.shape[1]))
    due = views[np.arange(views_seen, views_seen + ROLLING_VIEWS) % len(views)] if len(views) else views
    found = look(model, image, np.concatenate([whole, due]), model.min_detection_score)
    found = found[np.flatnonzero(_new(found.rois, followed))]
    candidates = found.rois[np.argsort(-found.scores, kind="stable")[:ROLLING_CANDIDATES]]
    people = verify(partial(observe_landmarks, model, image), candidates, followed, found)
    return people, views_seen + ROLLING_VIEWS


def _new(rois: Floats, followed: Floats) -> npt.NDArray[np.bool_]:
    """(N,): which regions (N, 4) show nobody who is followed."""
    if not len(followed):
        return np.ones(len(rois), bool)
    new: npt.NDArray[np.bool_] = box_similarity(squares(rois), squares(followed)).max(axis=1) <= SAME_REGION
    return new

"""Who else is in a frame of a stream: the detector's people, and those of a search spread over frames."""

from __future__ import annotations

from functools import partial

import numpy as np

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
    found = detect(model, image, max_people)
    if len(followed):
        found = found[box_similarity(squares(found), squares(followed)).max(axis=1) <= SAME_REGION]
    if model.search == "fast":
        return found, views_seen
    views = search_views((image.shape[0], image.shape[1]))
    if not len(views):
        return found, views_seen
    due = views[np.arange(views_seen, views_seen + ROLLING_VIEWS) % len(views)]
    seen_by, run = partial(look, model, image), partial(observe_landmarks, model, image)
    candidates = seen_by(due, model.min_detection_score)
    known = np.concatenate([followed, found])
    if len(known):
        candidates = candidates[
            np.nonzero(box_similarity(squares(candidates.rois), squares(known)).max(axis=1) <= SAME_REGION)[0]
        ]
    best = np.argsort(-candidates.scores, kind="stable")[:ROLLING_CANDIDATES]
    return np.concatenate([found, verify(seen_by, run, candidates[best], known)]), views_seen + ROLLING_VIEWS

"""The thorough search with a detector and a landmark network made of a few lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posemask.models import search
from posemask.models.search import Candidates
from posemask.numbers.tracking import Landmarks

NOBODY = np.empty((0, 4))


class World:
    """People at known regions (x, y, size), and ghosts, of which the landmark network's heat maps show little.

    The detector finds whoever lies in a view and is neither too small nor too large; the landmark network finds who is
    in the middle of a region.
    """

    def __init__(
        self,
        people: list[tuple[float, float, float]],
        ghosts: list[tuple[float, float, float]] = (),
        *,
        clarity: float = 0.7,
        presence: float = 0.9,
    ) -> None:
        self.people, self.ghosts = people, list(ghosts)
        self.clarity, self.presence = clarity, presence

    def look(self, views: np.ndarray, min_score: float) -> Candidates:
        rois, faces, scores = [], [], []
        for x, y, side, _ in views:
            for target in self.people + self.ghosts:
                if abs(target[0] - x) < side / 2 and abs(target[1] - y) < side / 2 and 0.1 < target[2] / side < 1.5:
                    rois.append([*target, 0.0])
                    face = target[2] / 20
                    top = target[1] - target[2] / 3
                    faces.append([target[0] - face, top - face, target[0] + face, top + face])
                    scores.append(0.9)
        return Candidates(np.reshape(rois, (-1, 4)), np.reshape(faces, (-1, 4)), np.array(scores, float))

    def observe(self, rois: np.ndarray) -> Landmarks:
        xyz = np.zeros((len(rois), 33, 3))
        shape = np.random.default_rng(3).uniform(-0.35, 0.35, (33, 2))
        shape[[0, 7, 8]] = [0, -1 / 3]
        auxiliary = np.zeros((len(rois), 2, 2))
        clarity = np.zeros(len(rois))
        for i, roi in enumerate(rois):
            near = [t for t in self.people + self.ghosts if np.hypot(t[0] - roi[0], t[1] - roi[1]) < t[2] / 4]
            x, y, size = near[0] if near else roi[:3]
            clarity[i] = 0.0 if not near else 0.4 if near[0] in self.ghosts else self.clarity
            xyz[i, :, :2] = shape * size + [x, y]
            auxiliary[i] = [[x, y], [x, y - size / 2.5]]
        return Landmarks(
            xyz=xyz, auxiliary_xy=auxiliary, world=xyz, visibility=np.ones((len(rois), 33)),
            presence=np.ones((len(rois), 33)), score=np.full(len(rois), self.presence), clarity=clarity,
            roi=np.asarray(rois, float),
        )  # fmt: skip


def found(world: World, size_hw: tuple[int, int] = (480, 640), known: np.ndarray = NOBODY) -> list[tuple[int, int]]:
    rois = search.find_people(world.look, world.observe, search.search_views(size_hw), known)
    return sorted((round(x), round(y)) for x, y, *_ in rois)


def test_everybody_is_found_once() -> None:
    assert found(World([(100, 200, 120), (320, 240, 300), (560, 300, 80)])) == [(100, 200), (320, 240), (560, 300)]


def test_nobody_is_found_where_nobody_is() -> None:
    assert found(World([])) == []


def test_who_is_not_clearly_seen_is_not_a_person() -> None:
    assert found(World([(320, 240, 300)], ghosts=[(120, 100, 90), (500, 380, 110)])) == [(320, 240)]


def test_known_people_are_not_found_again() -> None:
    world = World([(100, 200, 120), (320, 240, 300)])
    assert found(world, known=np.array([[101.0, 199, 121, 0]])) == [(320, 240)]


def test_a_landmark_network_that_sees_nobody_is_believed() -> None:
    assert found(World([(100, 200, 120)], presence=0.3)) == []


def test_less_evidence_is_enough_in_company() -> None:
    """0.45 and a fifth of the detector's 0.9 is evidence between what is needed in company and alone."""
    alone = World([(100, 200, 120)], clarity=0.45)
    assert found(alone) == []
    sure = World([(100, 200, 120), (400, 240, 200)])
    observe = sure.observe

    def one_is_less_clear(rois: np.ndarray) -> Landmarks:
        seen = observe(rois)
        seen.clarity[seen.xyz[:, 0, 0] < 200] = 0.45
        return seen

    sure.observe = one_is_less_clear  # type: ignore[method-assign]
    assert found(sure) == [(100, 200), (400, 240)]


def test_who_lies_within_somebody_else_must_be_surer() -> None:
    hand = (380, 310, 60)
    assert found(World([(320, 240, 300), hand], clarity=0.7)) == [(320, 240), (380, 310)]
    assert found(World([(320, 240, 300), hand], clarity=0.55)) == [(320, 240)]


def test_who_is_not_seen_again_in_the_middle_of_a_view_must_be_clearer() -> None:
    """A likeness by chance shows in some view, but not in those of the second look."""
    person = (100, 200, 120)
    assert found(World([person], clarity=0.55)) == [(100, 200)]

    def glimpsed(clarity: float) -> World:
        world = World([person], clarity=clarity)
        look = world.look

        def not_in_the_middle(views: np.ndarray, min_score: float) -> Candidates:
            return look(views[np.hypot(views[:, 0] - person[0], views[:, 1] - person[1]) > 1], min_score)

        world.look = not_in_the_middle  # type: ignore[method-assign]
        return world

    assert found(glimpsed(0.55)) == []
    assert found(glimpsed(0.65)) == [(100, 200)]


def test_candidates_who_become_one_are_followed_once() -> None:
    """Three regions around one person: two first looks at each, and then two at the one region that follows."""
    world, looks = World([(320, 240, 300)]), []

    def observe(rois: np.ndarray) -> Landmarks:
        looks.append(len(rois))
        return world.observe(rois)

    candidates = np.array([[320.0, 240, 300, 0], [300, 230, 250, 0], [340, 250, 330, 0]])
    found_once = Candidates(candidates[:1], np.zeros((1, 4)), np.array([0.9]))
    assert search.verify(observe, candidates, NOBODY, found_once).shape == (1, 4)
    assert looks == [6, 1, 1]


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_views_cover_the_picture_and_overlap(height: int, width: int) -> None:
    views = search.search_views((height, width))
    assert len(views) < 300
    for side in np.unique(views[:, 2]):
        assert side >= search.SMALLEST_VIEW
        level = views[views[:, 2] == side]
        for length, places in ((width, np.unique(level[:, 0])), (height, np.unique(level[:, 1]))):
            if length <= side:
                assert places.tolist() == [length / 2]
                continue
            assert places[0] == pytest.approx(side / 2)
            assert places[-1] == pytest.approx(length - side / 2)
            assert (np.diff(places) <= side * search.STRIDE + 1e-6).all()


def test_small_pictures_have_no_views() -> None:
    assert search.search_views((100, 100)).shape == (0, 4)
    assert found(World([(50, 50, 60)]), (100, 100)) == []

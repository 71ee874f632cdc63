"""The thorough search with a detector and a landmark network made of a few lines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posemask.models import search
from posemask.models.search import Candidates
from posemask.numbers.tracking import Landmarks

NOBODY = np.empty((0, 4))


class World:
    """People at known regions (x, y, size), and ghosts that the detector sees in a single view.

    The detector finds whoever lies in a view and is neither too small nor too large; the landmark network finds who is
    in the middle of a region.
    """

    def __init__(self, people: list[tuple[float, float, float]], ghosts: list[tuple[float, float, float]] = ()) -> None:
        self.people, self.ghosts = people, list(ghosts)
        self.ghosts_seen: set[tuple[float, float, float]] = set()
        self.looks = self.runs = 0

    def look(self, views: np.ndarray, min_score: float) -> Candidates:
        rois, faces, scores = [], [], []
        for x, y, side, _ in views:
            self.looks += 1
            for target in self.people + [ghost for ghost in self.ghosts if ghost not in self.ghosts_seen]:
                if abs(target[0] - x) < side / 2 and abs(target[1] - y) < side / 2 and 0.1 < target[2] / side < 1.5:
                    if target in self.ghosts:
                        self.ghosts_seen.add(target)
                    rois.append([*target, 0.0])
                    face = target[2] / 20
                    top = target[1] - target[2] / 3
                    faces.append([target[0] - face, top - face, target[0] + face, top + face])
                    scores.append(0.9)
        return Candidates(np.reshape(rois, (-1, 4)), np.reshape(faces, (-1, 4)), np.array(scores, float))

    def observe(self, rois: np.ndarray) -> Landmarks:
        self.runs += len(rois)
        xyz = np.zeros((len(rois), 33, 3))
        shape = np.random.default_rng(3).uniform(-0.35, 0.35, (33, 2))
        shape[[0, 7, 8]] = [0, -1 / 3]
        auxiliary = np.zeros((len(rois), 2, 2))
        for i, roi in enumerate(rois):
            near = [t for t in self.people + self.ghosts if np.hypot(t[0] - roi[0], t[1] - roi[1]) < t[2] / 4]
            x, y, size = near[0] if near else roi[:3]
            xyz[i, :, :2] = shape * size + [x, y]
            auxiliary[i] = [[x, y], [x, y - size / 2.5]]
        return Landmarks(
            xyz=xyz, auxiliary_xy=auxiliary, world=xyz, visibility=np.ones((len(rois), 33)),
            presence=np.ones((len(rois), 33)), score=np.full(len(rois), 0.9), roi=np.asarray(rois, float),
        )  # fmt: skip


def found(world: World, size_hw: tuple[int, int] = (480, 640), known: np.ndarray = NOBODY) -> list[tuple[int, int]]:
    rois = search.find_people(world.look, world.observe, search.search_views(size_hw), known)
    return sorted((round(x), round(y)) for x, y, *_ in rois)


def test_everybody_is_found_once() -> None:
    assert found(World([(100, 200, 120), (320, 240, 300), (560, 300, 80)])) == [(100, 200), (320, 240), (560, 300)]


def test_nobody_is_found_where_nobody_is() -> None:
    assert found(World([])) == []


def test_who_is_seen_in_one_view_only_is_not_a_person() -> None:
    assert found(World([(320, 240, 300)], ghosts=[(120, 100, 90), (500, 380, 110)])) == [(320, 240)]


def test_known_people_are_not_found_again() -> None:
    world = World([(100, 200, 120), (320, 240, 300)])
    assert found(world, known=np.array([[101.0, 199, 121, 0]])) == [(320, 240)]


def test_a_landmark_network_that_sees_nobody_is_believed() -> None:
    world = World([(100, 200, 120)])
    observe: Callable[[np.ndarray], Landmarks] = world.observe

    def nobody(rois: np.ndarray) -> Landmarks:
        seen = observe(rois)
        return Landmarks(**{**{n: getattr(seen, n) for n in Landmarks.__dataclass_fields__}, "score": seen.score * 0.3})

    world.observe = nobody  # type: ignore[method-assign]
    assert found(world) == []


def test_agreement_of_many_views_replaces_the_second_look() -> None:
    world = World([(320, 240, 150)])
    look = world.look

    def blind_from_near(views: np.ndarray, min_score: float) -> Candidates:
        return look(views, min_score) if len(views) > 1 else look(np.empty((0, 4)), min_score)

    world.look = blind_from_near  # type: ignore[method-assign]
    assert found(world) == [(320, 240)]
    crowd = World([(320, 240, 150)])
    crowd.look = blind_from_near  # type: ignore[method-assign]
    views = search.search_views((480, 640))[:3]
    assert len(search.find_people(crowd.look, crowd.observe, views, NOBODY)) == 0


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

"""The thorough search with a detector and a landmark network made of a few lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posemask.models import search
from posemask.models.faces import Faces
from posemask.models.search import Candidates
from posemask.numbers.tracking import Landmarks

NOBODY = np.empty((0, 4))
FACE_SHAPE = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [0, 0.3], [-0.5, 0], [0.5, 0]])  # in its size


class World:
    """People at known regions (x, y, size), and ghosts, of which the landmark network's heat maps show little.

    The detector finds whoever lies in a view and is neither too small nor too large; the landmark network finds who is
    in the middle of a region. Each face detector gives every one of `faces`, regions of whom they belong to, its score.
    """

    def __init__(
        self,
        people: list[tuple[float, float, float]],
        ghosts: list[tuple[float, float, float]] = (),
        *,
        clarity: float = 0.7,
        presence: float = 0.9,
        faces: list[tuple[float, float, float]] = (),
        face_scores: tuple[float, float] = (0.9, 0.9),
        seen_by_detector: bool = True,
    ) -> None:
        self.people, self.ghosts = people, list(ghosts)
        self.clarity, self.presence = clarity, presence
        self.faces, self.face_scores, self.seen_by_detector = faces, face_scores, seen_by_detector

    def look(self, views: np.ndarray, min_score: float) -> Candidates:
        rois, numbers = [], []
        for number, (x, y, side, _) in enumerate(views):
            for target in self.people + self.ghosts if self.seen_by_detector else []:
                if abs(target[0] - x) < side / 2 and abs(target[1] - y) < side / 2 and 0.1 < target[2] / side < 1.5:
                    rois.append([*target, 0.0])
                    numbers.append(number)
        return Candidates(np.reshape(rois, (-1, 4)), np.full(len(rois), 0.9), np.array(numbers, int))

    def look_for_faces(self, views: np.ndarray, min_score: float) -> tuple[Faces, Faces]:
        below, size = search.REGION_OF_FACE
        found = [
            (number, np.array([face[0], face[1] - below * face[2] / size]), face[2] / size)
            for number, (x, y, side, _) in enumerate(views)
            for face in self.faces
            if np.hypot(face[0] - x, face[1] - below * face[2] / size - y) < side / 2
        ]
        return tuple(  # type: ignore[return-value]
            Faces(
                points=np.reshape([center + FACE_SHAPE * side for _, center, side in kept], (-1, 6, 2)),
                centers=np.reshape([center for _, center, _ in kept], (-1, 2)),
                sizes=np.array([side for *_, side in kept]),
                scores=np.full(len(kept), score),
                views=np.array([number for number, *_ in kept], int),
            )
            for score in self.face_scores
            for kept in [found if score >= min_score else []]
        )

    def observe(self, rois: np.ndarray) -> Landmarks:
        xyz = np.zeros((len(rois), 33, 3))
        shape = np.random.default_rng(3).uniform(-0.35, 0.35, (33, 2))
        below, size = search.REGION_OF_FACE
        for keypoints, point in zip(search.FACE_POINTS, FACE_SHAPE, strict=False):
            shape[list(keypoints)] = [0, -below / size] + point / size
        shape[[7, 8]] = [0, -below / size]
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
    rois = search.find_people(world.look, world.look_for_faces, world.observe, search.search_views(size_hw), known)
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
    """0.47 and a fifth of the detector's 0.9 is evidence between what is needed in company and alone."""
    alone = World([(100, 200, 120)], clarity=0.47)
    assert found(alone) == []
    sure = World([(100, 200, 120), (400, 240, 200)])
    observe = sure.observe

    def one_is_less_clear(rois: np.ndarray) -> Landmarks:
        seen = observe(rois)
        seen.clarity[seen.xyz[:, 0, 0] < 200] = 0.47
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
            seen = look(views, min_score)
            return seen[np.hypot(*(views[seen.views, :2] - person[:2]).T) > 1]

        world.look = not_in_the_middle  # type: ignore[method-assign]
        return world

    assert found(glimpsed(0.55)) == []
    assert found(glimpsed(0.65)) == [(100, 200)]


def test_a_face_is_evidence() -> None:
    person = (100, 200, 120)
    assert found(World([person], clarity=0.45)) == []
    assert found(World([person], clarity=0.45, faces=[person])) == [(100, 200)]
    assert found(World([person], clarity=0.45, faces=[(400, 200, 120)])) == []  # of somebody else
    assert found(World([person], clarity=0.3, faces=[person])) == []  # the landmark network must see a body


def test_a_face_makes_no_company() -> None:
    """Who is believed for the face's sake does not vouch for others: these need a body that is sure."""
    people = [(100, 200, 120), (400, 240, 200)]
    assert found(World(people, clarity=0.47, faces=people[:1])) == [(100, 200)]
    assert found(World(people, clarity=0.53, faces=people[:1])) == [(100, 200), (400, 240)]


def test_heads_sit_upright_on_bodies() -> None:
    person = (100, 200, 120)
    world = World([person], clarity=0.47, faces=[person])
    look_for_faces = world.look_for_faces

    def upside_down(views: np.ndarray, min_score: float) -> tuple[Faces, ...]:
        flip = [1, 0, 2, 3, 5, 4]  # eyes change places
        return tuple(
            Faces(found.points[:, flip], found.centers, found.sizes, found.scores, found.views)
            for found in look_for_faces(views, min_score)
        )

    assert found(world) == [(100, 200)]
    world.look_for_faces = upside_down  # type: ignore[method-assign, assignment]
    assert found(world) == []


def test_a_face_leads_to_whom_the_detector_does_not_see() -> None:
    person = (100, 200, 120)
    assert found(World([person], seen_by_detector=False)) == []
    assert found(World([person], seen_by_detector=False, faces=[person])) == [(100, 200)]
    assert found(World([], seen_by_detector=False, faces=[person])) == []
    assert found(World([person], faces=[person]), known=np.array([[*person, 0.0]])) == []


@pytest.mark.parametrize(("scores", "people"), [((0.7, 0.02), []), ((0.02, 0.9), [(100, 200)]), ((0.4, 0.45), [])])
def test_faces_must_be_seen_again(scores: tuple[float, float], people: list[tuple[int, int]]) -> None:
    """0.5 in a view by either detector, 0.4 in the mean of both in the second look."""
    person = (100, 200, 120)
    assert found(World([person], seen_by_detector=False, faces=[person], face_scores=scores)) == people


def test_known_faces_are_not_looked_at_again() -> None:
    """For streams: neither those of people who are followed, nor more than the best few."""
    people = [(100, 200, 120), (400, 240, 200), (560, 240, 100)]
    world, looks = World([], faces=people), []

    def look_for_faces(views: np.ndarray, min_score: float) -> tuple[Faces, ...]:
        looks.append(len(views))
        return world.look_for_faces(views, min_score)

    views = search.search_views((480, 640))
    everybody = search.sure_faces(look_for_faces, views)
    assert len(everybody) == 3
    others = search.sure_faces(look_for_faces, views, known=everybody.centers[1:2] + 3)
    np.testing.assert_array_equal(np.sort(others.sizes), np.sort(everybody.sizes[[0, 2]]))
    assert len(search.sure_faces(look_for_faces, views, most=1)) == 1
    assert len(search.sure_faces(look_for_faces, views, known=everybody.centers)) == 0
    assert looks == [len(views), 12, len(views), 8, len(views), 4, len(views)]


def test_bodies_lie_below_faces_however_these_are_turned() -> None:
    def region(degrees: float) -> np.ndarray:
        radians = np.deg2rad(degrees)
        turn = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
        points = FACE_SHAPE @ turn.T * 10 + [200, 100]
        face = Faces(points[None], np.array([[200.0, 100]]), np.array([10.0]), np.ones(1), np.zeros(1, int))
        return search.regions_of(face)[0]

    np.testing.assert_allclose(region(0), [200, 140, 140, 0])
    np.testing.assert_allclose(region(20), [200, 140, 140, 0])  # a head tilts on an upright body
    np.testing.assert_allclose(region(90), [160, 100, 140, np.pi / 2])


def test_candidates_who_become_one_are_followed_once() -> None:
    """Three regions around one person: two first looks at each, and then two at the one region that follows."""
    world, looks = World([(320, 240, 300)]), []

    def observe(rois: np.ndarray) -> Landmarks:
        looks.append(len(rois))
        return world.observe(rois)

    candidates = np.array([[320.0, 240, 300, 0], [300, 230, 250, 0], [340, 250, 330, 0]])
    found_once = Candidates(candidates[:1], np.array([0.9]), np.zeros(1, int))
    no_faces = search.sure_faces(world.look_for_faces, candidates)
    assert search.verify(observe, candidates, NOBODY, found_once, no_faces).shape == (1, 4)
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

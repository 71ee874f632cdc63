"""Several people: similarities, ids, duplicates, and whose a pixel is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posemask.bodies import COCO_FROM_BLAZEPOSE
from posemask.numbers import people as p


def person(x: float, y: float = 200.0, height: float = 300.0, score: float = 0.9) -> np.ndarray:
    """(33, 3) keypoints spread over a person's box, always alike."""
    shape = np.random.default_rng(7).uniform(-0.5, 0.5, (33, 2)) * [height / 3, height]
    return np.concatenate([shape + np.array([x, y]), np.full((33, 1), score)], axis=1)


def test_box_similarity_is_the_iou() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(p.box_similarity(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])


def test_keypoint_similarity_follows_its_formula() -> None:
    a, b = person(100), person(110)
    keep = list(COCO_FROM_BLAZEPOSE)
    box = np.ptp(b[keep, :2], axis=0)
    expected = np.mean(np.exp(-(10**2) / (2 * (box.prod() + 1e-6) * (2 * p.SIGMAS) ** 2)))
    assert p.keypoint_similarity(a[None], b[None])[0, 0] == pytest.approx(expected)
    assert p.keypoint_similarity(a[None], a[None])[0, 0] == pytest.approx(1)


def test_keypoint_similarity_needs_four_keypoints_seen_in_both() -> None:
    a, b = person(100), person(100)
    b[:, 2] = 0.1
    b[list(COCO_FROM_BLAZEPOSE[:3]), 2] = 0.9
    assert p.keypoint_similarity(a[None], b[None])[0, 0] == 0
    b[COCO_FROM_BLAZEPOSE[3], 2] = 0.9
    assert p.keypoint_similarity(a[None], b[None])[0, 0] == pytest.approx(1)
    b[:, 2] = 0
    assert p.keypoint_similarity(a[None], b[None])[0, 0] == 0


def test_distinct_keeps_the_first_of_each() -> None:
    similarity = np.array([[1, 0.9, 0, 0.9], [0.9, 1, 0, 0.2], [0, 0, 1, 0], [0.9, 0.2, 0, 1.0]])
    assert p.distinct(similarity, 0.5).tolist() == [True, False, True, False]
    chain = np.array([[1, 0.9, 0], [0.9, 1, 0.9], [0, 0.9, 1.0]])
    assert p.distinct(chain, 0.5).tolist() == [True, False, True]  # who went takes nobody along
    assert p.distinct(np.empty((0, 0)), 0.5).tolist() == []


@pytest.mark.parametrize("kind", ["box", "keypoint"])
def test_ids_stay_with_people(kind: p.TrackerKind) -> None:
    tracks, first = p.track(p.NO_TRACKS, np.stack([person(100), person(400)]), 0.0, kind=kind)
    assert first.tolist() == [1, 2]
    tracks, swapped = p.track(tracks, np.stack([person(405), person(103)]), 0.1, kind=kind)
    assert swapped.tolist() == [2, 1]
    tracks, more = p.track(tracks, np.stack([person(106), person(800), person(410)]), 0.2, kind=kind)
    assert more.tolist() == [1, 3, 2]


def test_people_cross_with_their_ids() -> None:
    """Two people of different height walk through each other; the detector names now one first, now the other."""
    tracks = p.NO_TRACKS
    for i in range(60):
        tall, short = person(100 + 10 * i, height=340), person(700 - 10 * i, y=230, height=260)
        tracks, ids = p.track(tracks, np.stack([tall, short] if i % 2 == 0 else [short, tall]), i / 30, kind="keypoint")
        assert ids.tolist() == ([1, 2] if i % 2 == 0 else [2, 1])


def test_who_is_followed_keeps_the_id_however_far() -> None:
    tracks, _ = p.track(p.NO_TRACKS, np.stack([person(100), person(400)]), 0.0)
    _, ids = p.track(tracks, np.stack([person(120), person(900)]), 0.1, followed=np.array([0, 1]))
    assert ids.tolist() == [3, 1]


def test_who_comes_back_within_a_second_is_the_same() -> None:
    tracks, _ = p.track(p.NO_TRACKS, person(100)[None], 0.0)
    tracks, _ = p.track(tracks, np.empty((0, 33, 3)), 0.5)
    later, ids = p.track(tracks, person(110)[None], 0.9)
    assert ids.tolist() == [1]
    _, ids = p.track(tracks, person(110)[None], 1.1)
    assert ids.tolist() == [2]
    assert later.next_id == 2


@pytest.mark.parametrize("kind", ["box", "keypoint"])
def test_who_was_hidden_is_known_where_they_would_be_now_and_where_they_were(kind: p.TrackerKind) -> None:
    tracks = p.NO_TRACKS
    for i in range(15):
        tracks, _ = p.track(tracks, person(100 + 20 * i)[None], i / 10, kind=kind)
    tracks, _ = p.track(tracks, np.empty((0, 33, 3)), 1.9, kind=kind)
    np.testing.assert_allclose(p.expected_keypoints(tracks, 1.9)[0, :, :2], person(480)[:, :2], atol=5)
    for place in (480, 380):
        assert p.track(tracks, person(place)[None], 1.9, kind=kind)[1].tolist() == [1]
    assert p.track(tracks, person(900)[None], 1.9, kind=kind)[1].tolist() == [2]


def test_torso_distance_counts_in_heights() -> None:
    a, b = person(100)[None, :, :2], person(130)[None, :, :2]
    assert p.torso_distance(a, b)[0, 0] == pytest.approx(30 / np.ptp(a[0, :, 1]))
    assert p.torso_distance(a, a)[0, 0] == 0


def test_the_best_person_chooses_first_and_only_once() -> None:
    tracks, _ = p.track(p.NO_TRACKS, person(100)[None], 0.0)
    _, ids = p.track(tracks, np.stack([person(120), person(100)]), 0.1)
    assert ids.tolist() == [1, 2]


def test_only_so_many_tracks_are_remembered() -> None:
    tracks = p.NO_TRACKS
    for i in range(30):
        tracks, _ = p.track(tracks, person(1000.0 * i)[None], 0.01 * i)
    assert len(tracks.ids) == p.MAX_TRACKS
    assert tracks.ids[0] == 30


@given(
    st.integers(2, 5),
    st.integers(0, 2**32 - 1),
)
def test_no_pixel_has_two_owners(people: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((people, 50)).astype(np.float32).round(1)
    distances = rng.uniform(0, 3, (people, 50)).astype(np.float32)
    shared = p.share_pixels(masks, distances, rng.uniform(50, 500, people).astype(np.float32))
    assert ((shared > 0.5).sum(axis=0) <= 1).all()
    assert (shared <= masks + 1e-6).all()


def test_a_pixel_goes_to_the_body_that_it_lies_in_and_then_to_the_nearer_one() -> None:
    masks = np.ones((2, 1), np.float32)
    far_and_near = np.array([[2.5], [0.5]], np.float32)
    both_inside = np.array([[0.6], [0.5]], np.float32)
    sizes = np.array([300, 300], np.float32)
    assert p.share_pixels(masks, far_and_near, sizes)[:, 0].round(2).tolist() == [0, 1]
    assert p.share_pixels(masks, both_inside, np.array([400, 300], np.float32))[0, 0] > 0.5
    alone = p.share_pixels(np.array([[0.8], [0.0]], np.float32), both_inside, sizes)
    np.testing.assert_allclose(alone[:, 0], [0.8, 0])


def test_torch_equals_numpy() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    masks, distances = rng.random((3, 8, 9)).astype(np.float32), rng.uniform(0, 3, (3, 8, 9)).astype(np.float32)
    sizes = np.array([100, 200, 150], np.float32)
    theirs = p.share_pixels(*(torch.from_numpy(array) for array in (masks, distances, sizes)))
    np.testing.assert_allclose(p.share_pixels(masks, distances, sizes), theirs.numpy(), atol=1e-6)

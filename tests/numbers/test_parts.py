"""Body parts from keypoints: a body made by hand in known poses, invariances, numpy against torch."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from posemask.bodies import BLAZEPOSE, NO_PART, PARTS
from posemask.numbers.parts import BONES, HIDDEN, body_distance, capsules, label_points

PIXELS_PER_METRE = 300.0
CENTER = np.array([400.0, 420.0])
STANDING = {  # metres: x to the right of the picture, y down, z away; seen from the front, so left is at positive x
    "nose": (0, -0.62, -0.12), "left_eye_inner": (0.015, -0.66, -0.1), "left_eye": (0.03, -0.66, -0.1),
    "left_eye_outer": (0.045, -0.66, -0.09), "left_ear": (0.08, -0.64, 0), "mouth_left": (0.025, -0.58, -0.1),
    "left_shoulder": (0.18, -0.45, 0), "left_elbow": (0.24, -0.18, 0), "left_wrist": (0.26, 0.06, -0.02),
    "left_pinky": (0.26, 0.14, 0), "left_index": (0.26, 0.14, -0.05), "left_thumb": (0.25, 0.1, -0.06),
    "left_hip": (0.1, 0, 0), "left_knee": (0.11, 0.4, 0), "left_ankle": (0.12, 0.8, 0.02),
    "left_heel": (0.12, 0.85, 0.05), "left_foot_index": (0.15, 0.87, -0.12),
}  # fmt: skip


def body(**moved: tuple[float, float, float]) -> np.ndarray:
    """(33, 3) metres of a standing person, some keypoints moved."""
    points = dict(STANDING)
    for name, (x, y, z) in STANDING.items():
        mirrored = name.replace("left", "right")
        points.setdefault(mirrored, (-x, y, z))
    points.update(moved)
    return np.array([points[name] for name in BLAZEPOSE.names], np.float32)


def turned(world: np.ndarray, degrees: float) -> np.ndarray:
    """The same person turned about the vertical."""
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    return (world @ turn.T).astype(np.float32)


def seen(world: np.ndarray) -> np.ndarray:
    """(33, 2) pixels."""
    return (world[:, :2] * PIXELS_PER_METRE + CENTER).astype(np.float32)


def part_at(world: np.ndarray, x: float, y: float) -> str:
    """The part at a place in metres."""
    point = (np.array([[x, y]]) * PIXELS_PER_METRE + CENTER).astype(np.float32)
    return PARTS[int(label_points(point, capsules(seen(world), world))[0])]


@pytest.mark.parametrize(
    ("place", "part"),
    [((0.03, -0.63), "left_face"), ((-0.03, -0.63), "right_face"), ((0, -0.25), "torso_front"),
     ((0.26, 0.14), "left_hand"), ((-0.26, 0.14), "right_hand"), ((0.105, 0.25), "left_upper_leg_front"),
     ((-0.115, 0.6), "right_lower_leg_front"), ((0.14, 0.87), "left_feet"), ((-0.14, 0.87), "right_feet")],
)  # fmt: skip
def test_standing_person_from_the_front(place: tuple[float, float], part: str) -> None:
    assert part_at(body(), *place) == part


@pytest.mark.parametrize(
    ("place", "part"),
    [((0.03, -0.63), "right_face"), ((0, -0.25), "torso_back"), ((0.26, 0.14), "right_hand"),
     ((-0.105, 0.25), "left_upper_leg_back"), ((0.115, 0.6), "right_lower_leg_back")],
)  # fmt: skip
def test_standing_person_from_behind(place: tuple[float, float], part: str) -> None:
    assert part_at(turned(body(), 180), *place) == part


def test_profile_shows_front_and_back_of_the_torso_and_the_near_half_of_the_face() -> None:
    world = turned(body(), 90)  # the nose points to the left of the picture, the left side is near
    assert world[BLAZEPOSE.index("nose"), 0] < 0
    assert world[BLAZEPOSE.index("left_shoulder"), 2] < world[BLAZEPOSE.index("right_shoulder"), 2]
    arms_up = body(
        left_elbow=(0.18, -0.75, 0), left_wrist=(0.18, -1, 0), left_index=(0.18, -1.1, 0), left_pinky=(0.18, -1.1, 0),
        right_elbow=(-0.18, -0.75, 0), right_wrist=(-0.18, -1, 0), right_index=(-0.18, -1.1, 0),
        right_pinky=(-0.18, -1.1, 0),
    )  # fmt: skip
    world = turned(arms_up, 90)
    assert part_at(world, -0.06, -0.2) == "torso_front"
    assert part_at(world, 0.06, -0.2) == "torso_back"
    assert part_at(turned(body(), 90), 0.0, -0.62) == "left_face"


@pytest.mark.parametrize(("depth", "part"), [(-0.2, "left_lower_arm"), (0.25, "torso")])
def test_the_nearer_of_two_parts_is_seen(depth: float, part: str) -> None:
    """A forearm across the chest, in front of the body or behind it."""
    world = body(
        left_elbow=(0.24, -0.22, depth), left_wrist=(-0.02, -0.25, depth), left_index=(-0.1, -0.25, depth),
        left_pinky=(-0.1, -0.25, depth),
    )  # fmt: skip
    assert part_at(world, 0.08, -0.24).startswith(part)


@pytest.mark.parametrize(("left_z", "side"), [(-0.15, "left"), (0.15, "right")])
def test_crossed_legs(left_z: float, side: str) -> None:
    world = body(
        left_knee=(-0.04, 0.4, left_z),
        left_ankle=(-0.15, 0.8, left_z),
        right_knee=(0.04, 0.4, 0),
        right_ankle=(0.15, 0.8, 0),
    )
    assert part_at(world, 0.0, 0.45).startswith(side)


def test_far_from_every_bone_the_nearest_one_takes_the_pixel() -> None:
    """Wide clothes and long hair: the nearest limb, and never the torso at a leg's side."""
    world = body()
    assert part_at(world, 0.32, 0.45).startswith("left_upper_leg")
    assert part_at(world, 0.2, -0.68) == "left_face"
    assert part_at(world, -0.4, -0.1).startswith("right_")


def person_pixels(world: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of a silhouette: all places near a bone."""
    rng = np.random.default_rng(0)
    edges = np.array(BLAZEPOSE.edges)
    share = rng.random((2000, 1))
    ends = seen(world)[edges[rng.integers(len(edges), size=2000)]]
    points = ends[:, 0] * (1 - share) + ends[:, 1] * share + rng.normal(0, 12, (2000, 2))
    return points.astype(np.float32)


@pytest.mark.parametrize("degrees", [30, 90, 200])
def test_turning_the_picture_changes_nothing(degrees: float) -> None:
    world = turned(body(left_wrist=(0.05, -0.2, -0.25)), 25)
    points, xy = person_pixels(world), seen(world)
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]], np.float32)
    turned_world = np.concatenate([world[:, :2] @ turn.T, world[:, 2:]], axis=1)
    straight = label_points(points, capsules(xy, world))
    rotated = label_points(points @ turn.T, capsules(xy @ turn.T, turned_world))
    assert np.mean(straight == rotated) > 0.995


def test_size_and_place_change_nothing() -> None:
    world = turned(body(), -35)
    points, xy = person_pixels(world), seen(world)
    labels = label_points(points, capsules(xy, world))
    moved = label_points(points * 0.3 + 57, capsules(xy * np.float32(0.3) + 57, world))
    assert np.mean(labels == moved) > 0.995


@pytest.mark.parametrize("degrees", [0, 40, 90, 140, 180])
def test_the_mirrored_person_has_mirrored_parts(degrees: float) -> None:
    world = turned(body(left_wrist=(0.05, -0.2, -0.25), right_knee=(-0.2, 0.35, -0.15)), degrees)
    partner = [BLAZEPOSE.index(swap_side(name)) for name in BLAZEPOSE.names]
    mirrored = (world * [-1, 1, 1])[partner].astype(np.float32)
    points = person_pixels(world)
    flipped = ((points - CENTER) * [-1, 1] + CENTER).astype(np.float32)
    labels = label_points(points, capsules(seen(world), world))
    other = label_points(flipped, capsules(seen(mirrored), mirrored))
    expected = np.array([PARTS.index(swap_side(part)) for part in PARTS])[labels]
    assert np.mean(expected == other) > 0.995


def swap_side(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def test_labels_are_parts_whatever_the_keypoints() -> None:
    """Degenerate bodies (all keypoints in one place, a body seen end on) still give parts, and no warning."""
    points = np.random.default_rng(0).uniform(0, 900, (500, 2)).astype(np.float32)
    for world in (np.zeros((33, 3), np.float32), body() * [0, 1, 1], body() * [1, 0, 0]):
        labels = label_points(points, capsules(seen(world), world.astype(np.float32)))
        assert labels.dtype == np.uint8
        assert labels.max() < NO_PART


def test_body_distance_is_in_radii_and_hidden_bones_are_further() -> None:
    world = body()
    xy, nothing_hidden, all_hidden = seen(world), np.zeros(33, np.float32), np.ones(33, np.float32)
    knee_to_ankle = (xy[BLAZEPOSE.index("left_knee")] + xy[BLAZEPOSE.index("left_ankle")]) / 2
    radius = np.mean(next(bone.radius for bone in BONES if "left_lower_leg_front" in bone.labels)) * PIXELS_PER_METRE
    points = (knee_to_ankle + np.array([[0, 0], [radius, 0], [3 * radius, 0]])).astype(np.float32)
    np.testing.assert_allclose(body_distance(points, xy, world, nothing_hidden), [0, 1, 3], atol=0.1)
    np.testing.assert_allclose(
        body_distance(points, xy, world, all_hidden),
        body_distance(points, xy, world, nothing_hidden) + HIDDEN,
        atol=1e-5,
    )


def test_inputs_are_not_written_to() -> None:
    world = body()
    arrays = [person_pixels(world), seen(world), world]
    for array in arrays:
        array.flags.writeable = False
    before = pickle.dumps(arrays)
    points, xy, world = arrays
    label_points(points, capsules(xy, world))
    assert pickle.dumps(arrays) == before


def test_torch_equals_numpy() -> None:
    torch = pytest.importorskip("torch")
    world = turned(body(left_wrist=(0.05, -0.2, -0.25)), 70)
    points = person_pixels(world)
    ours = label_points(points, capsules(seen(world), world))
    xy, metres = torch.from_numpy(seen(world)), torch.from_numpy(world)
    theirs = label_points(torch.from_numpy(points), capsules(xy, metres))
    assert theirs.dtype == torch.uint8
    assert np.mean(ours == theirs.numpy()) > 0.999


def test_every_part_has_a_bone_and_every_bone_its_twin() -> None:
    assert {part for bone in BONES for part in bone.labels} == set(PARTS)
    half = (len(BONES) - 2) // 2
    for left, right in zip(BONES[2 : 2 + half], BONES[2 + half :], strict=True):
        for name in ("start", "end", "front"):
            weights = getattr(left, name) or {}
            assert {swap_side(k): v for k, v in weights.items()} == (getattr(right, name) or {})
        same = {"start": None, "end": None, "front": None, "labels": None}
        assert dataclasses.replace(left, **same) == dataclasses.replace(right, **same)  # type: ignore[arg-type]

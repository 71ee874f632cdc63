"""Twenty-four parts of a body from a person's mask and BlazePose's keypoints in the picture and in metres.

The model, and where its numbers come from, is written down in docs/parts.md. In short:

1. The body is 14 *bones*: tapered capsules between weighted means of keypoints (`BONES`), measured in metres; the
   keypoints themselves say how many metres a pixel is.
2. A pixel inside several capsules belongs to the one whose surface is nearest to the camera; a pixel inside none, such
   as a wide sleeve or long hair, to the one with the smallest gap.
3. Each bone has a direction that is its front. A bone is round, so the place across it says where its surface looks:
   towards the front or not. For the head that direction is the person's left, which parts left from right face.

Everything follows from the keypoints, so whatever smooths them over time smooths the labels. `capsules` makes a table
of a person's bones, `label_points` labels pixels by it, with fixed shapes and on any device;
`pixels.native.label_parts` does the same to every pixel of a picture on a CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ..bodies import BLAZEPOSE, PARTS
from ..results import Array

__all__ = ["BONES", "Bone", "body_distance", "capsules", "label_points", "part_areas", "part_visibility"]

Weights = Mapping[str, float]  # of keypoints, by name


def _mean(*names: str) -> dict[str, float]:
    return dict.fromkeys(names, 1 / len(names))


def _sum(*terms: tuple[float, Weights]) -> dict[str, float]:
    names = dict.fromkeys(name for _, weights in terms for name in weights)
    return {name: sum(factor * weights.get(name, 0.0) for factor, weights in terms) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bone:
    """One capsule of the body; lengths in metres.

    Attributes:
        start, end: where it lies.
        radius: at the start and at the end.
        depth: half its thickness towards the camera.
        caps: how far it reaches beyond its start and its end.
        upright: how much of its front is the side that faces forward in a body that stands with hanging arms.
        front: what else its front is: a direction in metres.
        labels: the parts of its front and of its back.
        hold: how strongly it takes a pixel that lies in no bone: gaps to it are divided by this.
    """

    start: Weights
    end: Weights
    radius: tuple[float, float]
    depth: float
    caps: tuple[float, float]
    labels: tuple[str, str]
    upright: float = 1.0
    front: Weights | None = None
    hold: float = 1.0


_SHOULDERS, _HIPS = _mean("left_shoulder", "right_shoulder"), _mean("left_hip", "right_hip")
_MIDDLE = _sum((0.5, _SHOULDERS), (0.5, _HIPS))


def _head() -> Bone:
    eyes, ears = _mean("left_eye", "right_eye"), _mean("left_ear", "right_ear")
    up = _sum((1, eyes), (-1, _mean("mouth_left", "mouth_right")))
    left = {"left_ear": 1.0, "right_ear": -1.0, "left_eye_outer": 1.0, "right_eye_outer": -1.0}
    return Bone(
        start=_sum((1, ears), (-1.1, up)),
        end=_sum((1, ears), (0.9, up)),
        radius=(0.08, 0.1),
        depth=0.09,
        caps=(0.06, 0.1),
        labels=("left_face", "right_face"),
        upright=0,
        front=left,
        hold=1.6,
    )


def _torso() -> Bone:
    return Bone(
        start=_sum((1.1, _SHOULDERS), (-0.1, _HIPS)),
        end=_HIPS,
        radius=(0.1, 0.1),  # the least; see _radii
        depth=0.06,
        caps=(0.04, 0.04),
        labels=("torso_front", "torso_back"),
    )


def _limbs(side: str) -> tuple[Bone, ...]:
    def at(name: str) -> dict[str, float]:
        return {f"{side}_{name}": 1.0}

    def both(part: str) -> tuple[str, str]:
        return f"{side}_{part}_front", f"{side}_{part}_back"

    shoulder, elbow, wrist, hip, knee, ankle = map(at, ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
    heel, toes, knuckles = at("heel"), at("foot_index"), _mean(f"{side}_index", f"{side}_pinky")
    # BodyPix calls the stretching side of an arm its front: the side away from the bend and from the body.
    forearm = _sum((0.5, elbow), (0.5, wrist))
    return (
        Bone(
            start=shoulder,
            end=elbow,
            radius=(0.055, 0.045),
            depth=0.05,
            caps=(0.02, 0.045),
            labels=both("upper_arm"),
            upright=0,
            front=_sum((1, elbow), (-1, wrist)),
        ),
        Bone(
            start=elbow,
            end=wrist,
            radius=(0.045, 0.035),
            depth=0.04,
            caps=(0.045, 0.03),
            labels=both("lower_arm"),
            upright=0,
            front=_sum((1, forearm), (-1, _MIDDLE), (0.5, elbow), (-0.5, shoulder)),
        ),
        Bone(
            start=_sum((0.75, wrist), (0.25, knuckles)),
            end=_sum((-0.6, wrist), (1.6, knuckles)),
            radius=(0.04, 0.035),
            depth=0.04,
            caps=(0.03, 0.05),
            labels=(f"{side}_hand", f"{side}_hand"),
        ),
        Bone(
            start=hip,
            end=knee,
            radius=(0.12, 0.075),
            depth=0.1,
            caps=(0.03, 0.07),
            labels=both("upper_leg"),
        ),
        Bone(
            start=knee,
            end=ankle,
            radius=(0.065, 0.05),
            depth=0.055,
            caps=(0.065, 0.03),
            labels=both("lower_leg"),
        ),
        Bone(
            start=_sum((0.75, heel), (0.25, ankle)),
            end=_sum((-0.1, heel), (1.1, toes)),
            radius=(0.055, 0.045),
            depth=0.05,
            caps=(0.05, 0.05),
            labels=(f"{side}_feet", f"{side}_feet"),
        ),
    )


BONES: tuple[Bone, ...] = (_head(), _torso(), *_limbs("left"), *_limbs("right"))
TORSO = 1
HIPS_WIDER = 1.35  # than half the distance of the hip joints is the torso's radius at its lower end
OUTSIDE = 10.0  # metres; more than any depth, so that a pixel inside a bone never goes to one that it is outside of
NEARER = 0.1  # metres of gap for a metre of depth: of two limbs that a pixel is beside, the nearer one takes it
HIDDEN = 2.0
TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """`BONES` as arrays of one namespace and device; B bones."""

    points: Array  # (3 B, 33): starts, ends, fronts
    ends: Array  # (B, 33): the mean of the keypoints that a bone hangs on
    limbs: Array  # (2, E) keypoints that limbs join
    sides: Array  # (1, 33): from the right to the left
    radius: Array  # (2, B)
    caps: Array  # (2, B)
    upright: Array  # (B, 1)
    fixed: Array  # (B, 4): the columns of `capsules` that are the same for everybody
    is_torso: Array  # (B,) bool
    widths: Array  # (2, 33): half of what the torso's radius is at its start and at its end
    labels: Array  # (2, B) front, back


def _share(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Weights without their signs that add up to 1."""
    sizes: npt.NDArray[np.float32] = np.abs(weights) / np.abs(weights).sum()
    return sizes


@functools.lru_cache(maxsize=8)
def _tables(namespace: Any, device: Any) -> _Tables:
    def row(weights: Weights | None) -> npt.NDArray[np.float32]:
        values = np.zeros(len(BLAZEPOSE), np.float32)
        for name, weight in (weights or {}).items():
            values[BLAZEPOSE.index(name)] = weight
        return values

    def column(name: str) -> npt.NDArray[np.float32]:
        return np.array([getattr(bone, name) for bone in BONES], np.float32)

    labels = np.array([[PARTS.index(part) for part in bone.labels] for bone in BONES], np.uint8).T
    first_of_body = BLAZEPOSE.index("left_shoulder")
    tables = {
        "points": np.stack([row(getattr(bone, name)) for name in ("start", "end", "front") for bone in BONES]),
        "ends": np.stack([_share(row(bone.start)) + _share(row(bone.end)) for bone in BONES]) / 2,
        "limbs": np.array([edge for edge in BLAZEPOSE.edges if min(edge) >= first_of_body]).T,
        "sides": row({"left_shoulder": 1, "right_shoulder": -1, "left_hip": 1, "right_hip": -1})[None],
        "radius": column("radius").T,
        "caps": column("caps").T,
        "upright": column("upright")[:, None],
        "fixed": np.stack([column("depth"), 1 / column("hold"), *labels.astype(np.float32)], axis=1),
        "widths": np.stack(
            [
                row({"left_shoulder": 0.5, "right_shoulder": -0.5}),
                row({"left_hip": 0.5 * HIPS_WIDER, "right_hip": -0.5 * HIPS_WIDER}),
            ]
        ),
        "is_torso": np.arange(len(BONES)) == TORSO,
        "labels": labels,
    }
    return _Tables(
        **{name: namespace.asarray(np.ascontiguousarray(table), device=device) for name, table in tables.items()}
    )


# ---------------------------------------------------------------------------------- a person's capsules


def capsules(xy: Array, world: Array) -> Array:
    """The bones of one person, ready for pixels; lengths in metres.

    Args:
        xy: (33, 2) float32, the person's keypoints in pixels of the picture.
        world: (33, 3) float32, metres, x right, y down, smaller z nearer, along the axes of the picture.

    Returns:
        (B, 19) float32, with these columns:

        0-2     times (x, y, 1) of a pixel: its place along the bone; 3-5: across it
        6       length in the picture
        7, 8    radius at the start, and its growth per metre
        9, 10   the radius in units of the cap, at the start and at the end
        11, 12  depth at the start, and its growth per metre
        13      half the thickness
        14      what gaps to it are multiplied by
        15, 16  the front is seen where (15) * (place across in radii) > (16)
        17, 18  the parts of its front and of its back
    """
    xp = array_namespace(xy)
    tables = _tables(xp, getattr(xy, "device", None))
    bones = len(BONES)
    metres_per_pixel = _metres_per_pixel(xy, world, tables)
    starts_ends = xp.matmul(tables.points[: 2 * bones], xy * metres_per_pixel)
    start, axis = starts_ends[:bones], starts_ends[bones:] - starts_ends[:bones]
    length = xp.sqrt(xp.sum(axis * axis, axis=1, keepdims=True)) + TINY
    axis = axis / length
    across = xp.stack([-axis[:, 1], axis[:, 0]], axis=1)

    deep = xp.matmul(tables.points, world)
    direction = deep[bones : 2 * bones] - deep[:bones]
    front = _fronts(world, direction, deep[2 * bones :], tables)
    # A round bone's surface looks along (v, -sqrt(1 - v^2)): across the bone, and towards the camera. That points along
    # the front's share of the same two, (f, g), where sign(f) v > g / sqrt(f^2 + g^2).
    sideways, away = xp.sum(front[:, :2] * across, axis=1, keepdims=True), front[:, 2:]
    turn = away / (xp.sqrt(sideways * sideways + away * away) + TINY)

    radius = _radii(xy * metres_per_pixel, tables)
    return xp.concat(
        [
            axis * metres_per_pixel,
            -xp.sum(axis * start, axis=1, keepdims=True),
            across * metres_per_pixel,
            -xp.sum(across * start, axis=1, keepdims=True),
            length,
            radius[0][:, None],
            (radius[1] - radius[0])[:, None] / length,
            (radius / tables.caps).T,
            deep[:bones, 2:],
            direction[:, 2:] / length,
            tables.fixed[:, :2],
            xp.where(sideways < 0, -xp.ones_like(turn), xp.ones_like(turn)),
            turn,
            tables.fixed[:, 2:],
        ],
        axis=1,
    )


def _metres_per_pixel(xy: Array, world: Array, tables: _Tables) -> Array:
    """From all limbs together, as the camera sees them: a foreshortened one is short in both."""
    xp = array_namespace(xy)

    def total(points: Array) -> Array:
        limbs = points[tables.limbs[0], :2] - points[tables.limbs[1], :2]
        return xp.sum(xp.sqrt(xp.sum(limbs * limbs, axis=1)))

    return total(world) / (total(xy) + TINY)


def _radii(metres: Array, tables: _Tables) -> Array:
    """(2, B): as in `BONES`; the torso's are half the widths of shoulders and hips in the picture, and never less."""
    xp = array_namespace(metres)
    width = xp.matmul(tables.widths, metres)
    half = xp.sqrt(xp.sum(width * width, axis=1, keepdims=True))
    return xp.where(tables.is_torso, xp.sqrt(half * half + tables.radius * tables.radius), tables.radius)


def _fronts(world: Array, direction: Array, others: Array, tables: _Tables) -> Array:
    """(B, 3): where each bone's front points, square to the bone, of length 1."""
    xp = array_namespace(world)
    bone = direction / (xp.sqrt(xp.sum(direction * direction, axis=1, keepdims=True)) + TINY)
    left = xp.matmul(tables.sides, world)
    left = left / (xp.sqrt(xp.sum(left * left)) + TINY)
    # left x up is forward where y points down and z away; the bones of a standing body point down.
    forward = xp.stack(
        [
            left[:, 2] * bone[:, 1] - left[:, 1] * bone[:, 2],
            left[:, 0] * bone[:, 2] - left[:, 2] * bone[:, 0],
            left[:, 1] * bone[:, 0] - left[:, 0] * bone[:, 1],
        ],
        axis=1,
    )
    front = tables.upright * forward + others
    front = front - bone * xp.sum(front * bone, axis=1, keepdims=True)
    return front / (xp.sqrt(xp.sum(front * front, axis=1, keepdims=True)) + TINY)


# ----------------------------------------------------------------------------------------------- pixels


def label_points(points: Array, bones: Array) -> Array:
    """The part at each of some pixels of a person, wherever they are: the mask decides whether they are the person's.

    `posemask.pixels.native.label_parts` is the same for all pixels of a mask on a CPU.

    Args:
        points: (N, 2) float32, x and y in pixels of the picture.
        bones: (B, 19) float32, of the person, from `capsules`.

    Returns:
        (N,) uint8 in 0-23.
    """
    xp = array_namespace(points)
    at = _places(points, bones)
    depth, slope, thickness, looseness = (bones[:, i : i + 1] for i in range(11, 15))
    middle = depth + slope * at.along
    surface = middle - thickness * xp.sqrt(xp.clip(1 - at.distance2, 0.0, None))
    gap = (xp.sqrt(at.distance2) - 1) * at.radius * looseness + NEARER * middle
    owner = xp.argmin(xp.where(at.distance2 < 1, surface, OUTSIDE + gap), axis=0)
    v = xp.clip(xp.take_along_axis(at.across, owner[None], axis=0)[0], -1.0, 1.0)
    side, turn, front, back = (bones[:, i][owner] for i in range(15, 19))
    return xp.astype(xp.where(side * v > turn, front, back), xp.uint8)


def part_areas(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(24,): how many pixels of ``labels`` each part has."""
    areas: npt.NDArray[np.int64] = np.bincount(labels.ravel(), minlength=len(PARTS))[: len(PARTS)]
    return areas


def part_visibility(visibility: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(24,) in [0, 1]: how visible the bone of each part is, from BlazePose's (33,) keypoints that it hangs on."""
    tables = _tables(array_namespace(visibility), getattr(visibility, "device", None))
    of_bones = tables.ends @ np.asarray(visibility, np.float32)
    parts = np.empty(len(PARTS), np.float32)
    parts[tables.labels] = of_bones
    return parts


def body_distance(points: Array, xy: Array, world: Array, hidden: Array) -> Array:
    """(N,) float32: how far pixels are from the nearest bone, in radii of that bone: below 1 inside the body.

    Bones that are hidden count as further away, by up to `HIDDEN` radii: where somebody stands behind somebody else,
    the keypoints go on, but the pixels are the other's.

    Args:
        points: as for `label_points`.
        xy, world: as for `capsules`.
        hidden: (33,) float32 in [0, 1], how likely a keypoint lies in the picture and is not seen.
    """
    xp = array_namespace(points)
    tables = _tables(xp, getattr(points, "device", None))
    hidden = xp.matmul(tables.ends, hidden)
    at = _places(points, capsules(xy, world))
    return xp.min(xp.sqrt(at.distance2) + (HIDDEN * hidden)[:, None], axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where N pixels lie in each of B capsules; all (B, N).

    Attributes:
        along: along the bone, between its ends, metres.
        across: across the bone, in radii.
        radius: there, metres.
        distance2: squared distance from the bone, in radii; the caps count as a radius.
    """

    along: Array
    across: Array
    radius: Array
    distance2: Array


def _places(points: Array, bones: Array) -> _Places:
    xp = array_namespace(points)
    x, y = points[:, 0], points[:, 1]
    length, radius, taper, before, behind = (bones[:, i : i + 1] for i in range(6, 11))
    place = bones[:, 0:1] * x + bones[:, 1:2] * y + bones[:, 2:3]
    across = bones[:, 3:4] * x + bones[:, 4:5] * y + bones[:, 5:6]
    along = xp.minimum(xp.maximum(place, xp.zeros_like(place)), length)
    radius = radius + taper * along
    beyond = place - along
    beyond = beyond * xp.where(beyond < 0, before, behind) / radius
    across = across / radius
    return _Places(along=along, across=across, radius=radius, distance2=across * across + beyond * beyond)

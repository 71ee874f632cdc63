"""Twenty-four parts of a body from a person's mask and BlazePose's keypoints in the picture and in metres.

The model, and where its numbers come from, is written down in docs/parts.md. In short:

1. The body is 14 *bones*: tapered capsules between weighted means of keypoints (`BONES`), measured in metres; the
   keypoints themselves say how many metres a pixel is.
2. A pixel inside several capsules belongs to the one whose surface is nearest to the camera; a pixel inside none, such
   as a wide sleeve or long hair, to the one with the smallest gap.
3. Each bone has a direction that is its front. A bone is round, so the place across it says where its surface looks:
   towards the front or not. For the head that direction is the person's left, which parts left from right face.

Everything follows from the keypoints, so whatever smooths them over time smooths the labels. `label_points` has fixed
shapes: the same code labels some pixels of a mask on a CPU and every pixel of a crop on a GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ..bodies import BLAZEPOSE, NO_PART, PARTS
from ..results import Array

__all__ = ["BONES", "Bone", "body_distance", "label_mask", "label_points", "part_areas", "part_visibility"]

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
        end=_sum((-0.08, _SHOULDERS), (1.08, _HIPS)),
        radius=(0.1, 0.1),  # the least; see _radii
        depth=0.08,
        caps=(0.04, 0.05),
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
            radius=(0.1, 0.075),
            depth=0.085,
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
    depth: Array  # (B,)
    upright: Array  # (B, 1)
    looseness: Array  # (B, 1)
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

    first_of_body = BLAZEPOSE.index("left_shoulder")
    tables = {
        "points": np.stack([row(getattr(bone, name)) for name in ("start", "end", "front") for bone in BONES]),
        "ends": np.stack([_share(row(bone.start)) + _share(row(bone.end)) for bone in BONES]) / 2,
        "limbs": np.array([edge for edge in BLAZEPOSE.edges if min(edge) >= first_of_body]).T,
        "sides": row({"left_shoulder": 1, "right_shoulder": -1, "left_hip": 1, "right_hip": -1})[None],
        "radius": column("radius").T,
        "caps": column("caps").T,
        "depth": column("depth"),
        "upright": column("upright")[:, None],
        "looseness": (1 / column("hold"))[:, None],
        "widths": np.stack(
            [
                row({"left_shoulder": 0.5, "right_shoulder": -0.5}),
                row({"left_hip": 0.5 * HIPS_WIDER, "right_hip": -0.5 * HIPS_WIDER}),
            ]
        ),
        "is_torso": np.arange(len(BONES)) == TORSO,
        "labels": np.array([[PARTS.index(part) for part in bone.labels] for bone in BONES], np.uint8).T,
    }
    return _Tables(
        **{name: namespace.asarray(np.ascontiguousarray(table), device=device) for name, table in tables.items()}
    )


# ---------------------------------------------------------------------------------- a person's capsules


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """The capsules of one person, ready for pixels; columns (B, 1), lengths in metres.

    Attributes:
        places: (2 B, 3); times (x, y, 1) in pixels they give the place along each bone, and that across it.
        length: of the bone in the picture.
        radius, taper: at the start, and its growth per metre.
        caps: (2, B) the radius in units of the cap, at the start and at the end.
        z, slope: depth at the start, and its growth per metre.
        depth: half the thickness.
        front: (2, B): how far the front points across the bone, and away from the camera.
    """

    places: Array
    length: Array
    radius: Array
    taper: Array
    caps: Array
    z: Array
    slope: Array
    depth: Array
    front: Array


def _body(xy: Array, world: Array) -> _Body:
    xp = array_namespace(xy)
    tables = _tables(xp, getattr(xy, "device", None))
    bones = len(BONES)
    metres_per_pixel = _metres_per_pixel(xy, world, tables)
    starts_ends = xp.matmul(tables.points[: 2 * bones], xy * metres_per_pixel)
    start, axis = starts_ends[:bones], starts_ends[bones:] - starts_ends[:bones]
    length = xp.sqrt(xp.sum(axis * axis, axis=1, keepdims=True)) + TINY
    axis = axis / length
    across = xp.stack([-axis[:, 1], axis[:, 0]], axis=1)
    directions = xp.concat([axis, across])
    offsets = -xp.sum(directions * xp.concat([start, start]), axis=1, keepdims=True)

    deep = xp.matmul(tables.points, world)
    direction = deep[bones : 2 * bones] - deep[:bones]
    front = _fronts(world, direction, deep[2 * bones :], tables)
    radius = _radii(xy * metres_per_pixel, tables)
    return _Body(
        places=xp.concat([directions * metres_per_pixel, offsets], axis=1),
        length=length,
        radius=radius[0][:, None],
        taper=(radius[1] - radius[0])[:, None] / length,
        caps=radius / tables.caps,
        z=deep[:bones, 2:],
        slope=direction[:, 2:] / length,
        depth=tables.depth[:, None],
        front=xp.stack([xp.sum(front[:, :2] * across, axis=1), front[:, 2]]),
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


def label_mask(
    probabilities: npt.NDArray[np.float32], image_from_crop: Array, xy: Array, world: Array
) -> npt.NDArray[np.uint8]:
    """The part of every pixel of a mask, for numpy: faster than labelling all of them, and nearly the same.

    Every second pixel of every second row is labelled first. Where it agrees with its neighbours, so do the pixels
    between them; the others are labelled, too.

    Args:
        probabilities: (h, w) in [0, 1], the mask in its crop.
        image_from_crop: (2, 3), where crop pixels lie in the picture.
        xy, world: as for `label_points`.

    Returns:
        (h, w) uint8, `NO_PART` where the mask is not above 0.5.
    """
    affine = np.asarray(image_from_crop, np.float32)
    body = _body(np.asarray(xy, np.float32), np.asarray(world, np.float32))
    person = probabilities > 0.5
    height, width = person.shape
    # Cells of 2 x 2 pixels, with one more cell of background to the right and below.
    padded = np.zeros((2 * (height // 2) + 4, 2 * (width // 2) + 4), bool)
    padded[:height, :width] = person
    cells = padded[::2, ::2] | padded[1::2, ::2] | padded[::2, 1::2] | padded[1::2, 1::2]
    coarse = np.full(cells.shape, NO_PART, np.uint8)
    _label_at(coarse, cells, 2.0, affine, body)
    labels = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]

    mixed = np.zeros(cells.shape, bool)
    here = coarse[:-1, :-1]
    for neighbour in (coarse[:-1, 1:], coarse[1:, :-1], coarse[1:, 1:]):
        mixed[:-1, :-1] |= (neighbour != here) & (neighbour != NO_PART)
    unsure = mixed.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] & person
    _label_at(labels, unsure, 1.0, affine, body)
    labels[~person] = NO_PART
    return labels


def _label_at(
    labels: npt.NDArray[np.uint8],
    where: npt.NDArray[np.bool_],
    step: float,
    affine: npt.NDArray[np.float32],
    body: _Body,
) -> None:
    """Writes the parts of those pixels, ``step`` crop pixels apart, into ``labels``."""
    flat = np.flatnonzero(where)
    rows, columns = np.divmod(flat, where.shape[1])
    crop = np.stack([columns, rows], axis=1).astype(np.float32) * np.float32(step)
    labels[rows, columns] = _label(crop @ affine[:, :2].T + affine[:, 2], body)


def label_points(points: Array, xy: Array, world: Array) -> Array:
    """The part at each of some pixels of a person, wherever they are: the mask decides whether they are the person's.

    Args:
        points: (N, 2) float32, x and y in pixels of the picture.
        xy: (33, 2) float32, the person's keypoints in the same pixels.
        world: (33, 3) float32, metres, x right, y down, smaller z nearer, along the axes of the picture.

    Returns:
        (N,) uint8 in 0-23.
    """
    return _label(points, _body(xy, world))


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
        points, xy, world: as for `label_points`.
        hidden: (33,) float32 in [0, 1], how likely a keypoint lies in the picture and is not seen.
    """
    xp = array_namespace(points)
    tables = _tables(xp, getattr(points, "device", None))
    hidden = xp.matmul(tables.ends, hidden)
    at = _places(points, _body(xy, world))
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


def _places(points: Array, body: _Body) -> _Places:
    xp = array_namespace(points)
    bones = len(BONES)
    metres = xp.matmul(body.places[:, :2], points.T) + body.places[:, 2:]
    inside = xp.minimum(xp.maximum(metres[:bones], xp.zeros_like(body.length)), body.length)
    radius = body.radius + body.taper * inside
    beyond = metres[:bones] - inside
    beyond = beyond * xp.where(beyond < 0, body.caps[0][:, None], body.caps[1][:, None]) / radius
    across = metres[bones:] / radius
    return _Places(along=inside, across=across, radius=radius, distance2=across * across + beyond * beyond)


def _label(points: Array, body: _Body) -> Array:
    xp = array_namespace(points)
    tables = _tables(xp, getattr(points, "device", None))
    at = _places(points, body)
    surface = body.z + body.slope * at.along - body.depth * xp.sqrt(xp.clip(1 - at.distance2, 0.0, None))
    gap = (xp.sqrt(at.distance2) - 1) * at.radius * tables.looseness + NEARER * surface
    owner = xp.argmin(xp.where(at.distance2 < 1, surface, OUTSIDE + gap), axis=0)

    # The surface of a round bone looks along (v, -sqrt(1 - v^2)): across the bone, and towards the camera.
    v = xp.clip(xp.take_along_axis(at.across, owner[None], axis=0)[0], -1.0, 1.0)
    is_front = body.front[0][owner] * v > body.front[1][owner] * xp.sqrt(1 - v * v)
    return xp.where(is_front, tables.labels[0][owner], tables.labels[1][owner])

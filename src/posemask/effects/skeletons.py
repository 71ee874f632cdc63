"""Poses as figures: limbs and joints, coloured by the person's side, farther ones first.

Lines and joints grow with the person, faces and hands are drawn finer than limbs, and a dark rim keeps all of it
readable before any background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bodies import Skeleton
from ..errors import InputError
from ..pixels import native as pixels
from ..results import Pose
from ._checks import check_color, check_image, check_number

__all__ = ["draw_skeleton"]

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

LEFT_COLOR = (255, 138, 0)
RIGHT_COLOR = (0, 217, 231)
MIDDLE_COLOR = (255, 255, 255)
RIM_COLOR = (16, 16, 16)

_FINE = frozenset(("nose", "eye", "ear", "mouth", "pinky", "thumb", "index"))  # but not foot_index
_FINE_SCALE = 0.55  # of a limb's line width


def draw_skeleton(
    image: Picture,
    poses: Pose | Sequence[Pose],
    *,
    min_visibility: float = 0.65,
    line_width: float | None = None,
    left_color: Sequence[int] = LEFT_COLOR,
    right_color: Sequence[int] = RIGHT_COLOR,
    middle_color: Sequence[int] = MIDDLE_COLOR,
    opacity: float = 1.0,
) -> Picture:
    """The picture with the poses drawn on it.

    Args:
        image: (H, W, 3) uint8 RGB.
        poses: one or several, with BlazePose's 33 keypoints or COCO's 17.
        min_visibility: in [0, 1]; keypoints less visible are left out, and so are the lines to them.
        line_width: pixels, more than 0; None takes about a hundredth of the person's size, 1.5 at least.
        left_color, right_color, middle_color: red, green, blue of the person's (not the picture's) sides.
        opacity: in [0, 1], of the whole drawing.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = check_image(image)
    people = _check_poses(poses)
    threshold = check_number("min_visibility", min_visibility, 0, 1)
    width = None if line_width is None else check_number("line_width", line_width, 1e-3, 1e4)
    opacity = check_number("opacity", opacity, 0, 1)
    palette = np.array(
        [
            check_color("left_color", left_color)[:3],
            check_color("right_color", right_color)[:3],
            check_color("middle_color", middle_color)[:3],
        ],
        dtype=np.uint8,
    )
    picture = image.copy()
    for pose in people:
        _draw(picture, _figure(pose, threshold, width), palette)
    return picture if opacity == 1 else pixels.blend(picture, image, np.full(image.shape[:2], _round(255 * opacity)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Figure:
    """What is drawn of one pose: L lines and P joints, each in the order in which they are drawn."""

    line_xyxy: Floats  # (L, 4) both ends
    line_width: Floats  # (L,)
    line_side: npt.NDArray[np.intp]  # (L,) row of the palette: left, right, middle
    joint_xy: Floats  # (P, 2)
    joint_radius: Floats  # (P,)
    joint_side: npt.NDArray[np.intp]  # (P,)
    rim: float  # width of the dark rim on each side


def _figure(pose: Pose, threshold: float, width: float | None) -> _Figure:
    xy, z, visibility = (np.asarray(_host(values), dtype=np.float64) for values in (pose.xy, pose.z, pose.visibility))
    seen = (visibility >= threshold) & np.isfinite(xy).all(axis=1)
    depth = np.nan_to_num(z)
    if width is None:
        size = float(np.ptp(xy[seen], axis=0).max()) if seen.any() else 0.0
        width = max(1.5, size / 100)
    side, scale = _sides(pose.skeleton), np.where(_is_fine(pose.skeleton), _FINE_SCALE, 1.0)

    edges = np.array(pose.skeleton.edges, dtype=np.intp).reshape(-1, 2)
    edges = edges[seen[edges].all(axis=1)]
    edges = edges[np.argsort(-depth[edges].sum(axis=1), kind="stable")]
    start, end = edges[:, 0], edges[:, 1]
    joints = np.flatnonzero(seen)
    joints = joints[np.argsort(-depth[joints], kind="stable")]
    return _Figure(
        line_xyxy=np.concatenate([xy[start], xy[end]], axis=1),
        line_width=width * np.minimum(scale[start], scale[end]),
        line_side=np.where(side[start] == side[end], side[start], 2),
        joint_xy=xy[joints],
        joint_radius=0.85 * width * scale[joints],
        joint_side=side[joints],
        rim=max(1.0, width / 4),
    )


def _draw(picture: Picture, figure: _Figure, palette: npt.NDArray[np.uint8]) -> None:
    """Rim, lines, joints, onto the picture itself."""
    pixels.draw_lines(picture, figure.line_xyxy, RIM_COLOR, figure.line_width + 2 * figure.rim)
    pixels.draw_discs(picture, figure.joint_xy, RIM_COLOR, figure.joint_radius + figure.rim)
    pixels.draw_lines(picture, figure.line_xyxy, palette[figure.line_side], figure.line_width)
    pixels.draw_discs(picture, figure.joint_xy, palette[figure.joint_side], figure.joint_radius)


def _sides(skeleton: Skeleton) -> npt.NDArray[np.intp]:
    """For each keypoint 0 left, 1 right, 2 middle."""
    side = np.full(len(skeleton), 2, dtype=np.intp)
    side[list(skeleton.left)] = 0
    side[list(skeleton.right)] = 1
    return side


def _is_fine(skeleton: Skeleton) -> npt.NDArray[np.bool_]:
    """For each keypoint whether it belongs to the face or a hand."""
    words = [frozenset(name.split("_")) for name in skeleton.names]
    return np.array([bool(_FINE & one) and "foot" not in one for one in words])


def _check_poses(poses: Any) -> tuple[Pose, ...]:
    given = (poses,) if isinstance(poses, Pose) else poses
    if not isinstance(given, Sequence) or not all(isinstance(pose, Pose) for pose in given):
        raise InputError(f"expected a Pose or a sequence of them, got {type(poses).__name__}")
    return tuple(given)


def _host(values: Any) -> Any:
    """A tensor on another device comes to the CPU; everything else is left as it is."""
    to_host = getattr(values, "cpu", None)
    return to_host() if to_host else values


def _round(value: float) -> np.uint8:
    return np.uint8(value + 0.5)

"""BlazePose as a segmenter: the masks of the people that it finds, and the 24 parts of their bodies.

The network gives a mask and keypoints for each person; `posemask.numbers.parts` makes parts of them, in the pixels of
the picture. BodyPix has learnt its parts from pictures and sees many people at once; these follow from a better
mask and a 3D pose. docs/parts.md compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bodies import NO_PART
from ..numbers.geometry import mirror_x
from ..numbers.parts import capsules
from ..pixels import native as pixels
from ..results import Mask, Pose, Segmentation

__all__ = ["estimate", "part_labels", "step"]

Labels = npt.NDArray[np.uint8]


def estimate(
    find: Callable[..., list[Pose]],
    image: npt.NDArray[np.uint8],
    *,
    max_people: int = 1,
    multi_segmentation: bool = False,
    segment_body_parts: bool = False,
    flip_horizontal: bool = False,
) -> list[Segmentation]:
    """The people of a picture.

    Args:
        find: (image, max_people, flip_horizontal) -> poses with masks, for instance `blazepose.estimate` of a model.
        image: (H, W, 3) uint8 RGB.
        max_people: how many at most.
        multi_segmentation: one `Segmentation` a person, best first; else one for all of them together, with the best
            person's pose. Empty if there is nobody.
        segment_body_parts: label every pixel of a person with its part.
        flip_horizontal: results in the mirrored picture; left and right stay the person's own.
    """
    poses = find(image, max_people=max_people, flip_horizontal=flip_horizontal)
    return _segmentations(poses, multi_segmentation, segment_body_parts, flip_horizontal)


def step(
    follow: Callable[..., tuple[Any, list[Pose]]],
    state: Any,
    image: npt.NDArray[np.uint8],
    time: float,
    *,
    max_people: int = 1,
    multi_segmentation: bool = False,
    segment_body_parts: bool = False,
    flip_horizontal: bool = False,
) -> tuple[Any, list[Segmentation]]:
    """One frame of a stream, as `estimate`; ``follow`` is for instance `blazepose_stream.step` of a model."""
    state, poses = follow(state, image, time, max_people=max_people, flip_horizontal=flip_horizontal)
    return state, _segmentations(poses, multi_segmentation, segment_body_parts, flip_horizontal)


def part_labels(pose: Pose, *, mirrored: bool = False) -> Labels:
    """(H, W) uint8: the part of each pixel of a person, `NO_PART` where the mask is not above 0.5.

    Args:
        pose: with a mask.
        mirrored: the pose is that of the mirrored picture; so are the labels.
    """
    assert pose.segmentation is not None
    mask = pose.segmentation.mask
    xy, world, affine = np.asarray(pose.xy), np.asarray(pose.world), np.asarray(mask.image_from_crop)
    if mirrored:
        # A mirrored body has its left where its right is: label the body as it was, and mirror the labels.
        width = mask.size_hw[1]
        xy = np.stack([width - 1 - xy[:, 0], xy[:, 1]], axis=1)
        world = world * np.array([-1, 1, 1], np.float32)
        affine = mirror_x(affine, width)
    person = np.empty(mask.size_hw, np.bool_)
    pixels.paste(mask.probabilities, affine, mask.size_hw, border=mask.border, out=person)
    labels = pixels.label_parts(person, capsules(xy, world), NO_PART)
    return labels[:, ::-1] if mirrored else labels


def _segmentations(
    poses: Sequence[Pose], multi_segmentation: bool, segment_body_parts: bool, mirrored: bool
) -> list[Segmentation]:
    people = []
    for pose in poses:
        assert pose.segmentation is not None
        labels = None
        if segment_body_parts:
            labels = np.ascontiguousarray(part_labels(pose, mirrored=mirrored))
            labels.flags.writeable = False
        people.append(
            Segmentation(mask=pose.segmentation.mask, part_labels=labels, pose=replace(pose, segmentation=None))
        )
    return people if multi_segmentation or len(people) < 2 else [_together(people)]


def _together(people: Sequence[Segmentation]) -> Segmentation:
    """One segmentation of several people, whose masks do not overlap; in the pixels of the image."""
    size_hw = people[0].mask.size_hw
    probabilities = np.maximum.reduce([np.asarray(person.mask, np.float32) for person in people])
    in_place = np.eye(2, 3)
    probabilities.flags.writeable = in_place.flags.writeable = False
    all_labels = [person.part_labels for person in people if person.part_labels is not None]
    labels = np.minimum.reduce(all_labels) if all_labels else None  # NO_PART is the largest
    if labels is not None:
        labels.flags.writeable = False
    mask = Mask(probabilities=probabilities, image_from_crop=in_place, size_hw=size_hw, paste=pixels.paste)
    return Segmentation(mask=mask, part_labels=labels, pose=people[0].pose)

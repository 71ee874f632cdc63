"""Skeletons: where they are drawn, in which colours, how thick, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemask.bodies import BLAZEPOSE, COCO, Skeleton
from posemask.effects import draw_skeleton
from posemask.effects.skeletons import LEFT_COLOR, MIDDLE_COLOR, RIGHT_COLOR
from posemask.errors import InputError
from posemask.results import Pose

SIZE_HW = (300, 240)


def pose(skeleton: Skeleton, visible: Any = None, scale: float = 1.0, **coordinates: Any) -> Pose:
    """A person whose keypoints lie on a grid, each well apart; only some are visible if names are given."""
    count = len(skeleton)
    index = np.arange(count)
    xy = np.stack([20 + 40 * (index % 6), 20 + 40 * (index // 6)], axis=1).astype(np.float32) * scale
    z = np.zeros(count, np.float32)
    visibility = np.ones(count, np.float32) * (1.0 if visible is None else 0.0)
    for name in visible or ():
        visibility[skeleton.index(name)] = 1
    for name, (x, y, depth) in coordinates.items():
        xy[skeleton.index(name)], z[skeleton.index(name)] = (x, y), depth
    return Pose(
        xy=xy, z=z, visibility=visibility, presence=visibility, world=None, score=1.0,
        box=np.array([*xy.min(0), *xy.max(0)]), skeleton=skeleton,
    )  # fmt: skip


def blank() -> np.ndarray:
    image = np.full((*SIZE_HW, 3), 100, np.uint8)
    image.flags.writeable = False
    return image


def at(picture: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    return tuple(picture[round(y), round(x)].tolist())


@pytest.mark.parametrize("skeleton", [BLAZEPOSE, COCO], ids=["blazepose", "coco"])
def test_every_joint_is_drawn_in_its_sides_colour(skeleton: Skeleton) -> None:
    person = pose(skeleton)
    picture = draw_skeleton(blank(), person)
    for i, (x, y) in enumerate(person.xy):
        color = LEFT_COLOR if i in skeleton.left else RIGHT_COLOR if i in skeleton.right else MIDDLE_COLOR
        assert at(picture, x, y) == color, skeleton.names[i]


def test_lines_have_the_colour_of_their_side() -> None:
    limbs = {
        ("left_hip", "left_knee"): LEFT_COLOR,
        ("right_shoulder", "right_elbow"): RIGHT_COLOR,
        ("left_shoulder", "right_shoulder"): MIDDLE_COLOR,
    }
    for (start, end), color in limbs.items():
        person = pose(BLAZEPOSE, [start, end], **{start: (40, 60, 0), end: (200, 220, 0)})
        picture = draw_skeleton(blank(), person)
        assert at(picture, 120, 140) == color
        assert at(picture, 120, 100) == (100, 100, 100), "beside the line nothing is drawn"


def test_what_is_not_visible_is_left_out() -> None:
    person = pose(BLAZEPOSE, ["left_hip"])
    picture = draw_skeleton(blank(), person)
    drawn = np.argwhere((picture != 100).any(axis=2))
    x, y = person.xy[BLAZEPOSE.index("left_hip")]
    assert np.abs(drawn - (y, x)).max() < 8, "a joint, and no line to anywhere"
    np.testing.assert_array_equal(draw_skeleton(blank(), pose(BLAZEPOSE, [])), blank())
    everything = draw_skeleton(blank(), pose(BLAZEPOSE, []), min_visibility=0)
    assert (everything != 100).any(axis=2).mean() > 0.05


def test_keypoints_that_are_nowhere_are_left_out() -> None:
    person = pose(BLAZEPOSE, ["left_hip", "left_knee"], left_knee=(np.nan, 3.0, 0.0))
    assert (draw_skeleton(blank(), person) != 100).any(axis=2).sum() < 200


def test_lines_may_leave_the_picture() -> None:
    person = pose(BLAZEPOSE, ["left_hip", "left_knee"], left_hip=(120, 150, 0), left_knee=(5000, 150, 0))
    picture = draw_skeleton(blank(), person, line_width=4)
    assert at(picture, 239, 150) == LEFT_COLOR


def width_of_a_thigh(picture: np.ndarray) -> int:
    return int((picture[140] == LEFT_COLOR).all(axis=1).sum())


def test_thickness_grows_with_the_person() -> None:
    thigh = {"left_hip": (120, 60, 0), "left_knee": (120, 220, 0)}
    widths = []
    for far in (20, 200, 600):
        person = pose(BLAZEPOSE, ["left_hip", "left_knee", "nose"], nose=(120, 220 - far, 0), **thigh)
        widths.append(width_of_a_thigh(draw_skeleton(blank(), person)))
    assert widths[0] <= widths[1] < widths[2]
    person = pose(BLAZEPOSE, ["left_hip", "left_knee"], **thigh)
    assert abs(width_of_a_thigh(draw_skeleton(blank(), person, line_width=15)) - 15) <= 1


def test_nearer_limbs_lie_over_farther_ones() -> None:
    for near, color in (("left", LEFT_COLOR), ("right", RIGHT_COLOR)):
        depth = {"left": 50.0, "right": 50.0, near: -50.0}
        person = pose(
            BLAZEPOSE,
            ["left_hip", "left_knee", "right_hip", "right_knee"],
            left_hip=(40, 60, depth["left"]),
            left_knee=(200, 220, depth["left"]),
            right_hip=(200, 60, depth["right"]),
            right_knee=(40, 220, depth["right"]),
        )
        assert at(draw_skeleton(blank(), person, line_width=9), 120, 140) == color


def test_opacity_mixes_the_whole_drawing_with_the_picture() -> None:
    person = pose(COCO)
    solid, half = draw_skeleton(blank(), person), draw_skeleton(blank(), person, opacity=0.5)
    np.testing.assert_allclose(half, 0.5 * solid + 0.5 * blank(), atol=1)
    np.testing.assert_array_equal(draw_skeleton(blank(), person, opacity=0), blank())


def test_colours_can_be_chosen_and_several_people_drawn() -> None:
    people = [pose(COCO, ["nose"], nose=(50, 50, 0)), pose(COCO, ["nose"], nose=(150, 150, 0))]
    picture = draw_skeleton(blank(), people, middle_color=(1, 2, 3))
    assert at(picture, 50, 50) == at(picture, 150, 150) == (1, 2, 3)


def test_nobody_is_a_copy() -> None:
    image = blank()
    picture = draw_skeleton(image, [])
    np.testing.assert_array_equal(picture, image)
    assert not np.shares_memory(picture, image)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_visibility": 1.2}, "min_visibility"),
        ({"line_width": 0}, "line_width"),
        ({"opacity": -1}, "opacity"),
        ({"left_color": (1, 2)}, "left_color"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        draw_skeleton(blank(), [], **options)
    with pytest.raises(InputError, match="expected a Pose"):
        draw_skeleton(blank(), [np.zeros(3)])  # type: ignore[list-item]


def test_a_real_person_is_drawn_where_it_stands(shared_data: Path) -> None:
    import json

    from PIL import Image

    golden = json.loads((shared_data / "golden/images.json").read_text())["groundtruth/tfjs_pose/pose.jpg"]
    with Image.open(shared_data / "groundtruth/tfjs_pose/pose.jpg") as photo:
        image = np.asarray(photo.convert("RGB"))
    (found,) = golden["poses"]["full"]
    xyz, visibility = np.array(found["xyz"], np.float32), np.array(found["visibility"], np.float32)
    person = Pose(
        xy=xyz[:, :2], z=xyz[:, 2], visibility=visibility, presence=visibility, world=None, score=1.0,
        box=np.array([*xyz[:, :2].min(0), *xyz[:, :2].max(0)]),
    )  # fmt: skip
    picture = draw_skeleton(image, person)
    changed = (picture != image).any(axis=2)
    with Image.open(shared_data / "golden/masks/tfjs_pose__pose.blazepose_full.png") as mask:
        body = np.asarray(mask) > 127
    assert changed.sum() > 3000
    assert body[changed].mean() > 0.85, "the drawing lies on the body"

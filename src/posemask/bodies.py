"""Tables of the body: keypoint names, sides, skeleton edges, the 24 parts and their colours.

Sources: the name, side and pair tables of TensorFlow.js ``pose-detection`` 2.1.0 and
``body-segmentation`` 1.0.2, which for BlazePose equal MediaPipe's ``PoseLandmark`` and
``POSE_CONNECTIONS``. TensorFlow.js lists the edge (15, 17) twice; here it stands once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .errors import InputError

__all__ = [
    "BLAZEPOSE",
    "COCO",
    "COCO_FROM_BLAZEPOSE",
    "NO_PART",
    "PARTS",
    "PART_COLORS",
    "POSENET_TREE",
    "Skeleton",
    "skeleton_of",
]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Names, sides and edges of one set of keypoints.

    Attributes:
        names: keypoint names in the order of the model's output.
        edges: pairs of keypoint indices that a skeleton drawing joins.
        left, right, middle: keypoint indices by side of the person (not of the picture).
    """

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    middle: tuple[int, ...]

    def index(self, name: str) -> int:
        """Index of the keypoint called ``name``; `InputError` if there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            raise InputError(f"unknown keypoint {name!r}; expected one of {', '.join(self.names)}") from None

    def __len__(self) -> int:
        return len(self.names)


def _skeleton(names: str, edges: Sequence[tuple[int, int]]) -> Skeleton:
    split = tuple(names.split())

    def side(word: str) -> tuple[int, ...]:
        return tuple(i for i, name in enumerate(split) if word in name.split("_"))

    left, right = side("left"), side("right")
    middle = tuple(i for i in range(len(split)) if i not in left and i not in right)
    return Skeleton(names=split, edges=tuple(edges), left=left, right=right, middle=middle)


BLAZEPOSE = _skeleton(
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
    "mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee "
    "left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index",
    [
        (0, 1), (0, 4), (1, 2), (2, 3), (3, 7), (4, 5), (5, 6), (6, 8), (9, 10), (11, 12), (11, 13), (11, 23),
        (12, 14), (14, 16), (12, 24), (13, 15), (15, 17), (16, 18), (16, 20), (15, 19), (15, 21), (16, 22),
        (17, 19), (18, 20), (23, 25), (23, 24), (24, 26), (25, 27), (26, 28), (27, 29), (28, 30), (27, 31),
        (28, 32), (29, 31), (30, 32),
    ],
)  # fmt: skip

COCO = _skeleton(
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    [
        (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (5, 11), (6, 8), (6, 12), (7, 9), (8, 10), (11, 12),
        (11, 13), (12, 14), (13, 15), (14, 16),
    ],
)  # fmt: skip

# Parent and child of each displacement channel of PoseNet and BodyPix; the order is the channels' order.
POSENET_TREE: tuple[tuple[int, int], ...] = (
    (0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11), (11, 13), (13, 15),
    (0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16),
)  # fmt: skip

# Keypoints of BlazePose that COCO has too, in COCO's order.
COCO_FROM_BLAZEPOSE: tuple[int, ...] = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)

PARTS: tuple[str, ...] = (
    "left_face", "right_face", "left_upper_arm_front", "left_upper_arm_back", "right_upper_arm_front",
    "right_upper_arm_back", "left_lower_arm_front", "left_lower_arm_back", "right_lower_arm_front",
    "right_lower_arm_back", "left_hand", "right_hand", "torso_front", "torso_back", "left_upper_leg_front",
    "left_upper_leg_back", "right_upper_leg_front", "right_upper_leg_back", "left_lower_leg_front",
    "left_lower_leg_back", "right_lower_leg_front", "right_lower_leg_back", "left_feet", "right_feet",
)  # fmt: skip

NO_PART = 24  # the label of a pixel where nobody is

PART_COLORS: tuple[tuple[int, int, int], ...] = (
    (110, 64, 170), (143, 61, 178), (178, 60, 178), (210, 62, 167), (238, 67, 149), (255, 78, 125),
    (255, 94, 99), (255, 115, 75), (255, 140, 56), (239, 167, 47), (217, 194, 49), (194, 219, 64),
    (175, 240, 91), (135, 245, 87), (96, 247, 96), (64, 243, 115), (40, 234, 141), (28, 219, 169),
    (26, 199, 194), (33, 176, 213), (47, 150, 224), (65, 125, 224), (84, 101, 214), (99, 81, 195),
)  # fmt: skip

_SKELETONS = MappingProxyType({"blazepose": BLAZEPOSE, "bodypix": COCO})


def skeleton_of(model: str) -> Skeleton:
    """Keypoint tables of a model (``"blazepose"`` or ``"bodypix"``); `InputError` for another name."""
    try:
        return _SKELETONS[model.lower()]
    except (KeyError, AttributeError):
        raise InputError(f"unknown model {model!r}; expected one of {', '.join(_SKELETONS)}") from None

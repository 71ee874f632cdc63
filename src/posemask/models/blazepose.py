"""BlazePose GHUM: 33 keypoints in the image and in metres, and a mask, of each person.

Two networks. The *detector* sees the whole image at 224 x 224 and says where a body's middle is, how large
it is and how it is turned. The *landmark network* sees a square crop around that body and says where the
keypoints are, whether there is a person at all, and which pixels of the crop are the person. In a stream the
landmark network also says where to crop in the next frame: `posemask.models.blazepose_stream`.

The rules are MediaPipe's graph files'. Where TensorFlow.js differs (greedy suppression instead of a weighted
mean, a black instead of a repeated border around the landmark crop, the last region kept for unrelated
pictures) MediaPipe is followed.

People are run through the landmark network one after the other: on a CPU a batch is not faster than its people.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from .. import runtimes
from ..errors import InputError, ModelFileError
from ..numbers.anchors import detector_anchors
from ..numbers.boxes import MAX_CANDIDATES, squares
from ..numbers.geometry import (
    apply_affine,
    image_from_crop,
    letterbox_roi,
    mirror_x,
    roi_from_points,
)
from ..numbers.landmarks import LANDMARKS, decode_landmarks, heatmap_clarity, project_landmarks
from ..numbers.people import (
    TrackerKind,
    box_similarity,
    distinct,
    keypoint_similarity,
)
from ..numbers.rows import joined
from ..numbers.tracking import Landmarks, next_roi
from ..pixels import native as pixels
from ..results import Array, Mask, Pose, Segmentation
from ..runtimes import RuntimeName
from ..runtimes.native import NativeNetwork
from .faces import Faces, look_for_faces, read_face_detectors
from .files import read_network
from .instances import separate
from .search import Candidates, find_people, search_views
from .tfjs_twins import detector_like_tflite, landmarks_like_tflite
from .views import look_at

__all__ = [
    "MODEL_TYPES",
    "Batches",
    "BlazePose",
    "BlazePoseSpec",
    "Search",
    "candidates_in",
    "detect",
    "distinct_people",
    "estimate",
    "load",
    "look",
    "look_at_faces",
    "make_poses",
    "observe",
    "observe_landmarks",
    "select_people",
    "spec_of",
]

Network = Callable[[Array], tuple[Array, ...]]
Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
Search = Literal["fast", "thorough"]
"""How people are looked for: in the whole picture, as MediaPipe does, or also in overlapping views of it."""

KEYPOINTS = 33
_POINTS = 35  # the keypoints and the two auxiliary points


@dataclass(frozen=True, slots=True)
class BlazePoseSpec:
    """Which published networks make up one model type.

    Attributes:
        detector, landmarks: names of the weights.
        detector_size, crop_size: sides of the square inputs in pixels.
    """

    landmarks: str
    detector: str = "pose_detection"
    detector_size: int = 224
    crop_size: int = 256


MODEL_TYPES = {
    "lite": BlazePoseSpec("pose_landmark_lite"),
    "full": BlazePoseSpec("pose_landmark_full"),
    "heavy": BlazePoseSpec("pose_landmark_heavy"),
}

# Boxes and logits; or, as TensorFlow.js has them, in one.
DETECTOR_OUTPUTS = (((1, 2254, 12), (1, 2254, 1)), ((1, 2254, 13),))

# Positions in the landmark network's output; the mask is cut off the graph when nobody asks for it.
OUTPUTS_WITH_MASK = (0, 1, 3, 4, 2)
OUTPUTS_WITHOUT_MASK = (0, 1, 3, 4)

MOST_PER_VIEW = 10  # people that the detector may find in one view
SAME_PERSON = 0.5  # keypoint similarity above which two regions show one person
SAME_NEXT_REGION = 0.85  # the same for the intersection over union of the regions that follow from them


class Batches(Protocol):
    """The networks on many parts of a picture at once, with all that lies around them: a GPU's way."""

    def look(self, image: Array, views: Floats, most: int, min_score: float) -> Candidates:
        """Whom the detector finds in square views (V, 4), V >= 1, at most ``most`` in each."""

    def look_for_faces(self, image: Array, views: Floats, min_score: float) -> tuple[Faces, ...]:
        """As `posemask.models.faces.look_for_faces`."""

    def observe(self, image: Array, rois: Floats) -> tuple[Landmarks, npt.NDArray[np.float32] | None]:
        """As `posemask.models.blazepose.observe`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlazePose:
    """The chain's two networks and its settings; a value that any number of streams can share.

    Attributes:
        detector: (1, 224, 224, 3) in [-1, 1] -> boxes (1, 2254, 12), logits (1, 2254, 1).
        landmarker: (1, 256, 256, 3) in [0, 1] -> landmarks (1, 195), score (1, 1), heat maps (1, 64, 64, 39),
            metres (1, 117) and, with ``segmentation``, mask logits (1, 256, 256, 1).
        smooth_keypoints, smooth_masks: whether a stream is filtered over time.
        min_detection_score, min_presence_score: below them there is nobody.
        mask_by_window: the landmark network takes ``window=(top, bottom, left, right)`` and may leave out the mask's
            pixels outside.
        search: ``"fast"`` looks for people in the whole picture, as MediaPipe does. ``"thorough"`` looks at many
            overlapping views of a picture, too, which finds far more people among several and takes a second or so; in
            a stream it looks at two views a frame while fewer people are followed than are wanted.
        tracker: what says in a stream who had which id: ``"box"``, the overlap of people's boxes, or ``"keypoint"``.
        face_detectors: those of `posemask.models.faces.FACE_DETECTORS`; for the thorough search only.
        batches: takes the place of all networks; pictures are then whatever it takes for one.
    """

    detector: Network
    landmarker: Callable[..., tuple[Array, ...]]
    segmentation: bool
    smooth_keypoints: bool = True
    smooth_masks: bool = True
    min_detection_score: float = 0.5
    min_presence_score: float = 0.5
    mask_by_window: bool = False
    search: Search = "fast"
    tracker: TrackerKind = "box"
    face_detectors: tuple[Network, ...] = ()
    batches: Batches | None = None


def load(
    model_type: str = "full",
    *,
    segmentation: bool = False,
    smooth_keypoints: bool = True,
    smooth_masks: bool = True,
    min_detection_score: float = 0.5,
    min_presence_score: float = 0.5,
    search: Search = "fast",
    tracker: TrackerKind = "box",
    detector_url: str | os.PathLike[str] | None = None,
    landmarks_url: str | os.PathLike[str] | None = None,
    runtime: RuntimeName | Literal["auto"] = "auto",
    device: str = "cpu",
    threads: int | None = None,
) -> BlazePose:
    """The published networks of a model type, or the user's own files, on a runtime.

    Args:
        model_type: ``"lite"``, ``"full"`` or ``"heavy"``.
        segmentation: compute masks; without it that branch of the network is cut off.
        smooth_keypoints, smooth_masks, min_detection_score, min_presence_score, search, tracker: as in `BlazePose`.
        detector_url, landmarks_url: other files for the networks, as `posemask.models.files.read_network` takes them.
        runtime, device, threads: as `posemask.runtimes.load` takes them.

    Raises:
        InputError: an option is wrong.
        WeightsError: the weights cannot be had.
        ModelFileError: a file is malformed, or is not this kind of network.
        RuntimeUnavailableError: the runtime or the device is not there.
    """
    spec = spec_of(model_type, search, tracker)
    load_network = partial(runtimes.load, runtime=runtime, device=device, threads=threads)
    detector_graph = read_network(spec.detector, detector_url)
    if detector_graph.output_shapes not in DETECTOR_OUTPUTS:
        raise ModelFileError(f"the network is no BlazePose detector: {detector_graph}")
    detector = load_network(detector_graph)
    landmarks_graph = landmarks_like_tflite(read_network(spec.landmarks, landmarks_url))
    outputs = OUTPUTS_WITH_MASK if segmentation else OUTPUTS_WITHOUT_MASK
    landmarker = load_network(landmarks_graph.keep_outputs(outputs))
    return BlazePose(
        detector=detector if len(detector_graph.outputs) == 2 else detector_like_tflite(detector),
        landmarker=landmarker,
        mask_by_window=segmentation and isinstance(landmarker, NativeNetwork),
        segmentation=segmentation,
        smooth_keypoints=smooth_keypoints,
        smooth_masks=smooth_masks,
        min_detection_score=min_detection_score,
        min_presence_score=min_presence_score,
        search=search,
        tracker=tracker,
        face_detectors=tuple(map(load_network, read_face_detectors())) if search == "thorough" else (),
    )


def spec_of(model_type: str, search: str, tracker: str) -> BlazePoseSpec:
    """The networks of a model type. Raises `InputError` if one of the three is unknown."""
    known = {
        "model_type": (model_type, tuple(MODEL_TYPES)),
        "search": (search, get_args(Search)),
        "tracker": (tracker, get_args(TrackerKind)),
    }
    for name, (value, allowed) in known.items():
        if value not in allowed:
            raise InputError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return MODEL_TYPES[model_type]


def detect(model: BlazePose, image: Picture, max_people: int = 1) -> Floats:
    """Finds people in a whole image: (P, 4) regions of interest, best first, P <= ``max_people``."""
    whole = np.array([letterbox_roi((image.shape[0], image.shape[1]))])
    return _look_at_each(model, image, whole, max_people, model.min_detection_score).rois


def look(model: BlazePose, image: Picture, views: Floats, min_score: float) -> Candidates:
    """Whom the detector finds in square views (V, 4) of an image."""
    return _look_at_each(model, image, views, MOST_PER_VIEW, min_score)


def look_at_faces(model: BlazePose, image: Picture, views: Floats, min_score: float) -> tuple[Faces, ...]:
    """What each face detector finds in square views (V, 4) of an image; for the thorough search only."""
    if model.batches is not None:
        return model.batches.look_for_faces(image, views, min_score)
    return look_for_faces(model.face_detectors, image, views, min_score)


def _look_at_each(model: BlazePose, image: Picture, views: Floats, max_people: int, min_score: float) -> Candidates:
    most = min(max_people, MAX_CANDIDATES)  # there cannot be more, however many are asked for
    if model.batches is not None:
        return model.batches.look(image, views, most, min_score)
    return joined([_look_at(model, image, number, view, most, min_score) for number, view in enumerate(views)])


def _look_at(model: BlazePose, image: Picture, number: int, view: Floats, most: int, min_score: float) -> Candidates:
    size = MODEL_TYPES["full"].detector_size
    affine = image_from_crop(view, size)
    people, scores = look_at(
        model.detector, detector_anchors(), image, affine, size=size, most=most, min_score=min_score
    )
    return candidates_in(number, view, people, scores)


def candidates_in(number: int, view: Floats, people: Array, scores: Array) -> Candidates:
    """The people (P, 12) found in a view (4,), the ``number``-th, as of `weighted_nms`, in pixels of the picture."""
    # After the box come the hips' centre and the point that gives scale and rotation of the whole body, in float32 as
    # everything before: from here on rounding would move the crop of a large picture by enough to be seen.
    in_image = apply_affine(image_from_crop(view, 1).astype(people.dtype), people[:, 4:8].reshape(-1, 2, 2))
    return Candidates(
        rois=roi_from_points(in_image[:, 0], in_image[:, 1]).astype(np.float64),
        scores=scores.astype(np.float64),
        views=np.full(len(scores), number),
    )


def observe(model: BlazePose, image: Picture, rois: Floats) -> tuple[Landmarks, npt.NDArray[np.float32] | None]:
    """Runs the landmark network on each region.

    Args:
        model: the networks.
        image: (H, W, 3) uint8 RGB.
        rois: (P, 4), P >= 1.

    Returns:
        Unfiltered landmarks of all P, and masks (P, 256, 256) of probabilities in the crops or None. Rows and
        columns of a mask that lie outside the picture are 0 where the network can leave them out.
    """
    if model.batches is not None:
        return model.batches.observe(image, rois)
    size, people = MODEL_TYPES["full"].crop_size, len(rois)
    affine = image_from_crop(rois, size)
    raws, refined_xy = np.empty((people, LANDMARKS * 5)), np.empty((people, LANDMARKS, 2))
    worlds, scores, clarity = np.empty((people, LANDMARKS * 3)), np.empty((people, 1)), np.full(people, np.nan)
    masks = np.zeros((people, size, size), np.float32) if model.segmentation else None
    for i in range(people):
        crop = pixels.crop(image, affine[i], (size, size), border="replicate", scale=1 / 255)
        window = _window_inside(affine[i], image, size) if model.mask_by_window else None
        raw, score, heatmap, world, *mask = model.landmarker(crop[None], **({"window": window} if window else {}))
        raws[i], scores[i], worlds[i] = raw[0], score[0], world[0]
        if model.search == "thorough":  # which alone asks for it; it reads the whole heat map
            clarity[i] = heatmap_clarity(heatmap[0])
        refined_xy[i] = pixels.refine_heatmap(raw, heatmap)
        if masks is not None:
            top, bottom, left, right = window or (0, size, 0, size)
            pixels.sigmoid(mask[0][0, top:bottom, :, 0], out=masks[i, top:bottom])
            masks[i, :, :left] = masks[i, :, right:] = 0
    crop_xyz, visibility, presence = decode_landmarks(raws)
    crop_xyz[..., :2] = refined_xy
    metres = worlds.reshape(people, LANDMARKS, 3)[:, :KEYPOINTS]
    xyz, metres = project_landmarks(crop_xyz[:, :_POINTS], metres, rois)
    landmarks = Landmarks(
        xyz=xyz[:, :KEYPOINTS],
        auxiliary_xy=xyz[:, KEYPOINTS:, :2],
        world=metres,
        visibility=visibility[:, :KEYPOINTS],
        presence=presence[:, :KEYPOINTS],
        score=scores[:, 0],
        clarity=clarity,
        roi=rois,
    )
    return landmarks, masks


def _window_inside(affine: Floats, image: Picture, size: int) -> tuple[int, int, int, int]:
    """The rows [top, bottom) and columns [left, right) of a crop that the picture meets, drawn at whatever size."""
    (a, b, c), (d, e, f) = affine.tolist()
    determinant = a * e - b * d
    # A pixel reaches half a pixel from its centre, so the picture begins at (-0.5, -0.5). Its place (x, y) lies in
    # column (e (x - c) - b (y - f)) / determinant of the crop and in row (a (y - f) - d (x - c)) / determinant:
    # furthest in the picture's corners.
    left, top = -0.5 - c, -0.5 - f
    width, height = image.shape[1] / determinant, image.shape[0] / determinant
    rows = _pixels_between((a * top - d * left) / determinant, -d * width, a * height, size)
    columns = _pixels_between((e * left - b * top) / determinant, e * width, -b * height, size)
    return *rows, *columns


def _pixels_between(origin: float, across: float, down: float, size: int) -> tuple[int, int]:
    """The pixels [first, last) of a crop's side that a picture meets, with one to interpolate on each side.

    Args:
        origin: where the picture's top left corner lies along that side.
        across, down: how much further its top right and its bottom left corner lie.
        size: of the crop.
    """
    first = math.floor(origin + min(across, 0.0) + min(down, 0.0)) - 1
    last = math.ceil(origin + max(across, 0.0) + max(down, 0.0)) + 2
    first = min(max(first, 0), size - 1)
    return first, max(min(last, size), first + 1)


def estimate(
    model: BlazePose,
    image: Picture,
    *,
    max_people: int = 1,
    flip_horizontal: bool = False,
) -> list[Pose]:
    """People in a picture, without memory: the detector, then the landmark network.

    Args:
        model: the networks.
        image: (H, W, 3) uint8 RGB.
        max_people: how many at most.
        flip_horizontal: results in the mirrored picture; left and right stay the person's own.
    """
    rois = detect(model, image, max_people)
    if model.search == "thorough" and len(rois) < max_people:
        others = find_people(
            partial(look, model, image),
            partial(look_at_faces, model, image),
            partial(observe_landmarks, model, image),
            search_views((image.shape[0], image.shape[1])),
            rois,
        )
        rois = np.concatenate([rois, others])
    if not len(rois):
        return []
    landmarks, masks = observe(model, image, rois)
    landmarks, masks = select_people(landmarks, masks, distinct_people(model, landmarks)[:max_people])
    return make_poses(landmarks, masks, image, flip_horizontal)


def observe_landmarks(model: BlazePose, image: Picture, rois: Floats) -> Landmarks:
    """As `observe`, without the masks."""
    return observe(model, image, rois)[0]


def distinct_people(model: BlazePose, landmarks: Landmarks, first: int = 0) -> npt.NDArray[np.intp]:
    """Rows of regions that show a person, each person once: the ``first`` rows before the others, then the surest."""
    seen = np.nonzero(landmarks.score >= model.min_presence_score)[0]
    if len(seen) < 2:
        return seen
    keypoints = np.concatenate([landmarks.xyz[seen, :, :2], landmarks.visibility[seen, :, None]], axis=-1)
    regions = squares(next_roi(landmarks.auxiliary_xy[seen]))
    stays = distinct(keypoint_similarity(keypoints, keypoints), SAME_PERSON)
    # Where hardly a keypoint is visible, only the regions can be compared.
    return seen[stays & distinct(box_similarity(regions, regions), SAME_NEXT_REGION)]


def select_people(
    landmarks: Landmarks, masks: npt.NDArray[np.float32] | None, which: npt.NDArray[np.intp]
) -> tuple[Landmarks, npt.NDArray[np.float32] | None]:
    """The rows ``which``, ascending, of what `observe` gave."""
    if len(which) == len(landmarks.score):
        return landmarks, masks
    return landmarks[which], None if masks is None else masks[which]


def make_poses(
    landmarks: Landmarks,
    masks: npt.NDArray[np.float32] | None,
    image: Picture,
    flip_horizontal: bool,
    ids: npt.NDArray[np.int64] | None = None,
) -> list[Pose]:
    """The results of one frame: one Pose a row, arrays read-only."""
    height, width = image.shape[:2]
    affine = image_from_crop(landmarks.roi, MODEL_TYPES["full"].crop_size)
    if masks is not None and len(masks) > 1:
        masks, affine = separate(masks, affine, landmarks, (height, width))
    xyz, world, roi = landmarks.xyz, landmarks.world, landmarks.roi
    if flip_horizontal:
        affine = mirror_x(affine, width)
        xyz = xyz * [-1, 1, 1] + [width - 1, 0, 0]
        world = world * [-1, 1, 1]
        roi = roi * [-1, 1, 1, -1] + [width - 1, 0, 0, 0]
    xy = _read_only(xyz[..., :2])
    z, world, roi = _read_only(xyz[..., 2]), _read_only(world), _read_only(roi)
    visibility, presence = _read_only(landmarks.visibility), _read_only(landmarks.presence)
    boxes = _read_only(np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=-1))
    affine.flags.writeable = False
    if masks is not None:
        masks.flags.writeable = False
    poses = []
    for i in range(len(xyz)):
        segmentation = None
        if masks is not None:
            mask = Mask(probabilities=masks[i], image_from_crop=affine[i], size_hw=(height, width), paste=pixels.paste)
            segmentation = Segmentation(mask=mask)
        poses.append(
            Pose(
                xy=xy[i],
                z=z[i],
                visibility=visibility[i],
                presence=presence[i],
                world=world[i],
                score=float(landmarks.score[i]),
                box=boxes[i],
                roi=roi[i],
                id=None if ids is None else int(ids[i]),
                segmentation=segmentation,
            )
        )
    return poses


def _read_only(array: Array) -> npt.NDArray[np.float32]:
    result = np.array(array, np.float32)
    result.flags.writeable = False
    return result

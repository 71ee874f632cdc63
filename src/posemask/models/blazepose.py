"""BlazePose GHUM: 33 keypoints in the image and in metres, and a mask, of each person.

Two networks. The *detector* sees the whole image at 224 x 224 and says where a body's middle is, how large
it is and how it is turned. The *landmark network* sees a square crop around that body and says where the
keypoints are, whether there is a person at all, and which pixels of the crop are the person. In a stream the
landmark network also says where to crop in the next frame, so that the detector runs only when nobody is
followed:

    states of a stream      looks at               leads to
    nobody is followed      the detector's people  people are followed, where the landmark network agrees
    people are followed     their last regions     those whom the landmark network still sees

The rules are MediaPipe's graph files'. Where TensorFlow.js differs (greedy suppression instead of a weighted
mean, a black instead of a repeated border around the landmark crop, the last region kept for unrelated
pictures) MediaPipe is followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import runtimes
from ..errors import InputError, TimestampError
from ..numbers.anchors import detector_anchors
from ..numbers.boxes import decode_detections, weighted_nms
from ..numbers.geometry import (
    apply_affine,
    compose_affine,
    image_from_crop,
    invert_affine,
    letterbox_roi,
    mirror_x,
    roi_from_points,
)
from ..numbers.landmarks import decode_landmarks, project_landmarks
from ..numbers.tracking import Landmarks, Smoothing, next_roi, smooth_landmarks
from ..pixels import native as pixels
from ..results import Array, Mask, Pose, Segmentation
from ..runtimes import RuntimeName
from .files import read_network
from .tfjs_twins import detector_like_tflite, landmarks_like_tflite

__all__ = ["MODEL_TYPES", "BlazePose", "BlazePoseSpec", "StreamState", "detect", "estimate", "load", "observe", "step"]

Network = Callable[[Array], tuple[Array, ...]]
Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

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

# Positions in the landmark network's output; the mask is cut off the graph when nobody asks for it.
OUTPUTS_WITH_MASK = (0, 1, 3, 4, 2)
OUTPUTS_WITHOUT_MASK = (0, 1, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlazePose:
    """The chain's two networks and its settings; a value that any number of streams can share.

    Attributes:
        detector: (1, 224, 224, 3) in [-1, 1] -> boxes (1, 2254, 12), logits (1, 2254, 1).
        landmarker: (1, 256, 256, 3) in [0, 1] -> landmarks (1, 195), score (1, 1), heat maps (1, 64, 64, 39),
            metres (1, 117) and, with ``segmentation``, mask logits (1, 256, 256, 1).
        smooth_keypoints, smooth_masks: whether a stream is filtered over time.
        min_detection_score, min_presence_score: below them there is nobody.
    """

    detector: Network
    landmarker: Network
    segmentation: bool
    smooth_keypoints: bool = True
    smooth_masks: bool = True
    min_detection_score: float = 0.5
    min_presence_score: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """What a stream remembers after a frame.

    Attributes:
        time: of that frame, seconds.
        size_hw: of that frame.
        rois: (P, 4), where its people will be looked for; P = 0 when nobody is followed.
        smoothing: the filters' state, None when nobody is followed.
        masks: (P, 256, 256) the smoothed probabilities of that frame, None without segmentation.
        image_from_crop: (P, 2, 3) where those masks lie.
    """

    time: float
    size_hw: tuple[int, int]
    rois: Floats
    smoothing: Smoothing | None = None
    masks: npt.NDArray[np.float32] | None = None
    image_from_crop: Floats | None = None


def load(
    model_type: str = "full",
    *,
    segmentation: bool = False,
    smooth_keypoints: bool = True,
    smooth_masks: bool = True,
    min_detection_score: float = 0.5,
    min_presence_score: float = 0.5,
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
        smooth_keypoints, smooth_masks, min_detection_score, min_presence_score: as in `BlazePose`.
        detector_url, landmarks_url: other files for the networks, as `posemask.models.files.read_network` takes them.
        runtime, device, threads: as `posemask.runtimes.load` takes them.

    Raises:
        InputError: an option is wrong.
        WeightsError: the weights cannot be had.
        ModelFileError: a file is malformed, or is not this kind of network.
        RuntimeUnavailableError: the runtime or the device is not there.
    """
    if model_type not in MODEL_TYPES:
        raise InputError(f"model_type must be one of {', '.join(map(repr, MODEL_TYPES))}, got {model_type!r}")
    spec = MODEL_TYPES[model_type]
    load_network = partial(runtimes.load, runtime=runtime, device=device, threads=threads)
    detector_graph = read_network(spec.detector, detector_url)
    detector = load_network(detector_graph)
    landmarks_graph = landmarks_like_tflite(read_network(spec.landmarks, landmarks_url))
    return BlazePose(
        detector=detector if len(detector_graph.outputs) == 2 else detector_like_tflite(detector),
        landmarker=load_network(
            landmarks_graph.keep_outputs(OUTPUTS_WITH_MASK if segmentation else OUTPUTS_WITHOUT_MASK)
        ),
        segmentation=segmentation,
        smooth_keypoints=smooth_keypoints,
        smooth_masks=smooth_masks,
        min_detection_score=min_detection_score,
        min_presence_score=min_presence_score,
    )


def detect(model: BlazePose, image: Picture, max_people: int = 1) -> Floats:
    """Finds people in a whole image: (P, 4) regions of interest, best first, P <= ``max_people``."""
    size = MODEL_TYPES["full"].detector_size
    whole = np.asarray(letterbox_roi((image.shape[0], image.shape[1])))
    tensor = pixels.crop(image, image_from_crop(whole, size), (size, size), border="zero", scale=2 / 255, offset=-1.0)
    raw, logits = model.detector(tensor[None])
    points, scores = decode_detections(raw[0], logits[0], detector_anchors(), input_size=size)
    people, people_scores = weighted_nms(points, scores, max_people=max_people, min_score=model.min_detection_score)
    # After the box come the hips' centre and the point that gives scale and rotation of the whole body, in float32 as
    # everything before: from here on rounding would move the crop of a large picture by enough to be seen.
    image_from_fraction = image_from_crop(whole, 1).astype(people.dtype)
    alignment = apply_affine(image_from_fraction, people[people_scores > 0, 4:8].reshape(-1, 2, 2))
    rois: Floats = roi_from_points(alignment[:, 0], alignment[:, 1]).astype(np.float64)
    return rois


def observe(model: BlazePose, image: Picture, rois: Floats) -> tuple[Landmarks, npt.NDArray[np.float32] | None]:
    """Runs the landmark network on each region.

    Args:
        model: the networks.
        image: (H, W, 3) uint8 RGB.
        rois: (P, 4), P >= 1.

    Returns:
        Unfiltered landmarks of all P, and masks (P, 256, 256) of probabilities in the crops or None.
    """
    size = MODEL_TYPES["full"].crop_size
    affine = image_from_crop(rois, size)
    rows: list[tuple[Array, ...]] = []
    masks = np.empty((len(rois), size, size), np.float32) if model.segmentation else None
    for i in range(len(rois)):
        crop = pixels.crop(image, affine[i], (size, size), border="replicate", scale=1 / 255)
        raw, score, heatmap, world, *mask = model.landmarker(crop[None])
        crop_xyz, visibility, presence = decode_landmarks(raw[0].astype(np.float64))
        crop_xyz[:, :2] = pixels.refine_heatmap(raw, heatmap)
        metres = world[0].reshape(-1, 3)[:KEYPOINTS].astype(np.float64)
        rows.append((crop_xyz[:_POINTS], metres, visibility[:KEYPOINTS], presence[:KEYPOINTS], score[0, 0]))
        if masks is not None:
            masks[i] = pixels.sigmoid(mask[0][0, :, :, 0])
    crop_xyz, metres, visibility, presence, scores = (np.stack(column) for column in zip(*rows, strict=True))
    xyz, world = project_landmarks(crop_xyz, metres, rois)
    landmarks = Landmarks(
        xyz=xyz[:, :KEYPOINTS],
        auxiliary_xy=xyz[:, KEYPOINTS:, :2],
        world=world,
        visibility=visibility,
        presence=presence,
        score=scores,
        roi=rois,
    )
    return landmarks, masks


def estimate(model: BlazePose, image: Picture, *, max_people: int = 1, flip_horizontal: bool = False) -> list[Pose]:
    """People in a picture: the detector, then the landmark network, no memory."""
    rois = detect(model, image, max_people)
    if not len(rois):
        return []
    landmarks, masks = observe(model, image, rois)
    seen = landmarks.score >= model.min_presence_score
    return _poses(_select(landmarks, seen), None if masks is None else masks[seen], image, flip_horizontal)


def step(
    model: BlazePose,
    state: StreamState | None,
    image: Picture,
    time: float,
    *,
    max_people: int = 1,
    flip_horizontal: bool = False,
) -> tuple[StreamState, list[Pose]]:
    """One frame of a stream.

    Args:
        model: the networks.
        state: what this function gave for the frame before; None at the start.
        image: (H, W, 3) uint8 RGB; its size may change from frame to frame.
        time: seconds, later than the frame before.
        max_people: how many people to look for when nobody is followed.
        flip_horizontal: results in the mirrored picture; left and right stay the person's own.

    Raises:
        TimestampError: time did not increase.
    """
    size_hw = (image.shape[0], image.shape[1])
    if state is not None and time <= state.time:
        raise TimestampError(time, state.time)
    if state is None or state.size_hw != size_hw:
        # Regions and filters are in pixels of the old size: start afresh, as on the first frame.
        state = StreamState(time=time, size_hw=size_hw, rois=np.empty((0, 4)))
    nobody = StreamState(time=time, size_hw=size_hw, rois=np.empty((0, 4)))

    rois = state.rois if len(state.rois) else detect(model, image, max_people)
    if not len(rois):
        return nobody, []
    landmarks, masks = observe(model, image, rois)
    if landmarks.score[0] < model.min_presence_score:
        return nobody, []

    smoothing, smoothed = smooth_landmarks(
        state.smoothing, landmarks, time - state.time, smooth_keypoints=model.smooth_keypoints
    )
    affine = image_from_crop(rois, MODEL_TYPES["full"].crop_size)
    if masks is not None and model.smooth_masks and state.masks is not None and state.image_from_crop is not None:
        masks = np.stack(
            [_blend(*pair) for pair in zip(masks, affine, state.masks, state.image_from_crop, strict=True)]
        )
    new_state = StreamState(
        time=time,
        size_hw=size_hw,
        rois=next_roi(smoothed.auxiliary_xy),
        smoothing=smoothing,
        masks=masks,
        image_from_crop=affine,
    )
    return new_state, _poses(smoothed, masks, image, flip_horizontal)


def _blend(
    mask: npt.NDArray[np.float32], affine: Floats, before: npt.NDArray[np.float32], affine_before: Floats
) -> npt.NDArray[np.float32]:
    """Blends with the mask before in the pixels of the new crop.

    MediaPipe blends masks of the size of the image. Here both stay in their crops: 65,536 pixels instead of a
    million, and nothing depends on the image's size. Outside its crop the mask before is 0, as it is there.
    """
    crop_from_crop_before = compose_affine(invert_affine(affine), affine_before)
    return pixels.blend_masks(mask, pixels.paste(before, crop_from_crop_before, mask.shape))


def _select(landmarks: Landmarks, which: npt.NDArray[np.bool_]) -> Landmarks:
    return Landmarks(*(getattr(landmarks, name)[which] for name in Landmarks.__dataclass_fields__))


def _poses(
    landmarks: Landmarks, masks: npt.NDArray[np.float32] | None, image: Picture, flip_horizontal: bool
) -> list[Pose]:
    """The results of one frame: one Pose a row, arrays read-only."""
    height, width = image.shape[:2]
    affine = image_from_crop(landmarks.roi, MODEL_TYPES["full"].crop_size)
    xyz, world, roi = landmarks.xyz, landmarks.world, landmarks.roi
    if flip_horizontal:
        affine = mirror_x(affine, width)
        xyz = xyz * [-1, 1, 1] + [width - 1, 0, 0]
        world = world * [-1, 1, 1]
        roi = roi * [-1, 1, 1, -1] + [width - 1, 0, 0, 0]
    xy = xyz[..., :2]
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=-1)

    def owned(array: Array) -> npt.NDArray[np.float32]:
        result = np.array(array, np.float32)
        result.flags.writeable = False
        return result

    poses = []
    for i in range(len(xyz)):
        segmentation = None
        if masks is not None:
            mask = Mask(
                probabilities=owned(masks[i]),
                image_from_crop=affine[i],
                size_hw=(height, width),
                paste=pixels.paste,
            )
            segmentation = Segmentation(mask=mask)
        poses.append(
            Pose(
                xy=owned(xy[i]),
                z=owned(xyz[i, :, 2]),
                visibility=owned(landmarks.visibility[i]),
                presence=owned(landmarks.presence[i]),
                world=owned(world[i]),
                score=float(landmarks.score[i]),
                box=owned(boxes[i]),
                roi=owned(roi[i]),
                segmentation=segmentation,
            )
        )
    return poses

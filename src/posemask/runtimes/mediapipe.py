"""MediaPipe itself, as a reference: whole chains through its Tasks (version 1.2 or later), with the same networks.

The other runtimes run one network; this one replaces a whole chain, so it has a chain's functions: `load_blazepose`
and `load_selfie`, then `estimate` and `segment` for a picture, `step` and `segment_step` for a frame of a stream. The
results are the library's own values.

What differs from the library's own chains, because Tasks decides it:

* Streams are always smoothed when one person is looked for, never when it is several; masks never are. Followed people
  are taken for new ones when they overlap too little, at a threshold of 0.5 that Tasks calls tracking confidence.
* Timestamps are whole milliseconds. Threads cannot be chosen.
* A person's own score stays inside: `Pose.score` is the highest presence among the keypoints, `Pose.roi` is None.
* A mask has the size of the image.
* MediaPipe's library reports usage to Google (it looks up play.googleapis.com soon after the first pictures), and no
  option that we know of stops it. That is why nothing here chooses it by itself.
"""

from __future__ import annotations

import atexit
import functools
import io
import threading
import weakref
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InferenceError, InputError, ModelFileError, RuntimeUnavailableError, TimestampError
from ..networks.flatbuffer import serialise
from ..networks.graph import Graph, Shape
from ..networks.write_tflite import write_tflite
from ..numbers.geometry import mirror_x
from ..pixels import native as pixels
from ..results import Mask, Pose, Segmentation

__all__ = [
    "MediaPipeChain",
    "StreamState",
    "blazepose_file",
    "estimate",
    "load_blazepose",
    "load_selfie",
    "segment",
    "segment_step",
    "selfie_file",
    "step",
]

Picture = npt.NDArray[np.uint8]
Task = Any  # a PoseLandmarker or ImageSegmenter of MediaPipe

LANDMARK_SHAPES = ((1, 195), (1, 1), (1, 256, 256, 1), (1, 64, 64, 39), (1, 117))
ALIGNMENT = 16  # of the networks in a bundle; without it MediaPipe copies their constants, and warns


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPipeChain:
    """One of MediaPipe's tasks with its networks and settings.

    Attributes:
        create: (video mode or not, number of people) -> the task.
        pictures: the tasks for single pictures made so far, by number of people; they remember nothing.
    """

    create: Callable[[bool, int], _Held]
    pictures: dict[int, _Held] = field(default_factory=dict, repr=False)

    def for_pictures(self, max_people: int = 1) -> Task:
        """The task for unrelated pictures."""
        if max_people not in self.pictures:
            self.pictures[max_people] = self.create(False, max_people)
        return self.pictures[max_people].task


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """A stream: MediaPipe's task, which keeps the memory itself, and what it was made for and last given.

    So unlike the states of the library's own chains this is no value: use each only once.
    """

    held: _Held
    time: float
    milliseconds: int
    size_hw: tuple[int, int]
    max_people: int


def blazepose_file(detector: Graph, landmarks: Graph) -> bytes:
    """The two networks as the .task file that MediaPipe's PoseLandmarker takes.

    Raises `ModelFileError` if one is not the published network with all its outputs.
    """
    _check("pose detector", detector, (1, 224, 224, 3), ((1, 2254, 12), (1, 2254, 1)))
    _check("pose landmark network", landmarks, (1, 256, 256, 3), LANDMARK_SHAPES)
    # the detector takes [-1, 1], the landmark network [0, 1]; both are told as (value - mean) / deviation of 0 … 255
    return _bundle(
        {
            "pose_detector.tflite": _with_normalisation(detector, 127.5, 127.5),
            "pose_landmarks_detector.tflite": _with_normalisation(landmarks, 0.0, 255.0),
        }
    )


def selfie_file(graph: Graph) -> bytes:
    """The network as the file that MediaPipe's ImageSegmenter takes; raises `ModelFileError` if it is another."""
    shape = graph.input_shapes[0]
    _check("selfie segmentation network", graph, (1, *shape[1:3], 3), ((1, *shape[1:3], 1),))
    return _with_normalisation(graph, 0.0, 255.0)


def load_blazepose(
    detector: Graph,
    landmarks: Graph,
    *,
    segmentation: bool = False,
    min_detection_score: float = 0.5,
    min_presence_score: float = 0.5,
) -> MediaPipeChain:
    """MediaPipe's PoseLandmarker.

    Args:
        detector: pose_detection as published.
        landmarks: pose_landmark_lite, _full or _heavy as published, with all its outputs.
        segmentation: give masks, too; MediaPipe computes them in any case.
        min_detection_score: below it, what the detector found is nobody.
        min_presence_score: below it, the landmark network's region holds nobody.

    Raises:
        ModelFileError: a graph is not what it should be.
        RuntimeUnavailableError: MediaPipe is not installed, too old, or does not work here.
        InferenceError: it refuses the networks.
    """
    bundle = blazepose_file(detector, landmarks)
    vision, base_options = _tasks()

    def create(video: bool, max_people: int) -> _Held:
        options = vision.PoseLandmarkerOptions(
            base_options=base_options(model_asset_buffer=bundle),
            running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
            num_poses=max_people,
            min_pose_detection_confidence=min_detection_score,
            min_pose_presence_confidence=min_presence_score,
            output_segmentation_masks=segmentation,
        )
        return _created(vision.PoseLandmarker, options)

    chain = MediaPipeChain(create=create)
    chain.for_pictures()
    return chain


def load_selfie(graph: Graph) -> MediaPipeChain:
    """MediaPipe's ImageSegmenter with selfie_segmentation or selfie_segmentation_landscape.

    Raises what `load_blazepose` raises.
    """
    model = selfie_file(graph)
    vision, base_options = _tasks()

    def create(video: bool, max_people: int) -> _Held:
        options = vision.ImageSegmenterOptions(
            base_options=base_options(model_asset_buffer=model),
            running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
        )
        return _created(vision.ImageSegmenter, options)

    chain = MediaPipeChain(create=create)
    chain.for_pictures()
    return chain


def estimate(
    chain: MediaPipeChain, image: Picture, *, max_people: int = 1, flip_horizontal: bool = False
) -> list[Pose]:
    """People in a picture, (H, W, 3) uint8 RGB: no memory."""
    result = _run(chain.for_pictures(max_people).detect, _image(image))
    return _poses(result, image, flip_horizontal)


def step(
    chain: MediaPipeChain,
    state: StreamState | None,
    image: Picture,
    time: float,
    *,
    max_people: int = 1,
    flip_horizontal: bool = False,
) -> tuple[StreamState, list[Pose]]:
    """One frame of a stream; `state` is what this gave for the frame before, None at the start.

    A new size or number of people starts the stream afresh. Raises `TimestampError` if the time did not increase.
    """
    state = _next(chain, state, image, time, max_people)
    result = _run(state.held.task.detect_for_video, _image(image), state.milliseconds)
    return state, _poses(result, image, flip_horizontal)


def segment(chain: MediaPipeChain, image: Picture, *, flip_horizontal: bool = False) -> list[Segmentation]:
    """Everybody in a picture, (H, W, 3) uint8 RGB, as one mask."""
    result = _run(chain.for_pictures().segment, _image(image))
    return [Segmentation(mask=_mask(result.confidence_masks[0], image, flip_horizontal))]


def segment_step(
    chain: MediaPipeChain, state: StreamState | None, image: Picture, time: float, *, flip_horizontal: bool = False
) -> tuple[StreamState, list[Segmentation]]:
    """One frame of a stream, as `segment` and `step`."""
    state = _next(chain, state, image, time, 1)
    result = _run(state.held.task.segment_for_video, _image(image), state.milliseconds)
    return state, [Segmentation(mask=_mask(result.confidence_masks[0], image, flip_horizontal))]


# --- MediaPipe's side ------------------------------------------------------------------------------------------------


def _tasks() -> tuple[Any, Any]:
    """MediaPipe's vision tasks and their BaseOptions."""
    try:
        from mediapipe.tasks.python import vision
        from mediapipe.tasks.python.core.base_options import BaseOptions
    except (ImportError, OSError) as error:  # OSError: a system library that its native code needs
        raise RuntimeUnavailableError(
            f"MediaPipe cannot be imported ({error}): pip install posemask[mediapipe]"
        ) from error
    return vision, BaseOptions


class _Held:
    """A task of MediaPipe, which is closed as soon as nobody holds this.

    A task left to the garbage collector can wait for ever for its own worker thread, which is garbage as well. So it
    is referred to from outside until it is closed; and at the end of the program it is closed before that thread ends.
    """

    __slots__ = ("__weakref__", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        _open.add(task)
        _close_all_at_exit()
        weakref.finalize(self, _close, task).atexit = False  # which would be too late


_open: set[Task] = set()


def _close(task: Task) -> None:
    _open.discard(task)
    task.close()


@functools.cache
def _close_all_at_exit() -> None:
    """What is registered last runs first, so this must come after the first task has brought in its thread pool."""

    def close_all() -> None:
        for task in list(_open):
            _close(task)

    getattr(threading, "_register_atexit", atexit.register)(close_all)


def _created(kind: Any, options: Any) -> _Held:
    try:
        return _Held(kind.create_from_options(options))
    except (RuntimeError, ValueError) as error:
        raise InferenceError(f"MediaPipe refuses the network: {error}") from error
    except OSError as error:
        raise RuntimeUnavailableError(f"MediaPipe does not work here: {error}") from error


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (RuntimeError, ValueError) as error:
        raise InferenceError(f"MediaPipe failed: {error}") from error


def _image(image: Picture) -> Any:
    import mediapipe

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"a picture must be (H, W, 3) uint8, got {image.dtype} of shape {image.shape}")
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))


def _next(chain: MediaPipeChain, state: StreamState | None, image: Picture, time: float, people: int) -> StreamState:
    """The stream's state as of this frame."""
    size_hw, milliseconds = (image.shape[0], image.shape[1]), round(time * 1000)
    if state is not None and time <= state.time:
        raise TimestampError(time, state.time)
    if state is None or state.size_hw != size_hw or state.max_people != people:
        return StreamState(chain.create(True, people), time, milliseconds, size_hw, people)
    # two frames within a millisecond must not have the same time
    return StreamState(state.held, time, max(milliseconds, state.milliseconds + 1), size_hw, people)


def _check(what: str, graph: Graph, shape: Shape, outputs: tuple[Shape, ...]) -> None:
    """MediaPipe would take any network here and only fail, or find nobody, later."""
    if graph.input_shapes != (shape,) or graph.output_shapes != outputs:
        raise ModelFileError(f"{graph} is not the published {what}")


def _with_normalisation(graph: Graph, mean: float, deviation: float) -> bytes:
    """The network as a TFLite file whose metadata tell MediaPipe to feed it (value of 0 … 255 - mean) / deviation.

    Field numbers are those of metadata_schema.fbs of TensorFlow Lite Support.
    """
    rgb_picture = {0: ("<B", 2), 1: {0: ("<b", 1)}}  # content: image properties, colour space RGB
    normalisation = {0: ("<B", 1), 1: {0: np.array([mean], "<f4"), 1: np.array([deviation], "<f4")}}
    tensors = {2: [{3: rgb_picture, 4: [normalisation]}], 3: [{} for _ in graph.outputs]}
    return write_tflite(graph, metadata=serialise({3: [tensors]}, b"M001"))


def _bundle(files: dict[str, bytes]) -> bytes:
    """MediaPipe's .task file: an uncompressed zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            content = buffer.tell() + 30 + len(name) + 4  # behind the entry's head and that of the filling
            entry.extra = b"\x35\xd9" + bytes([filling := -content % ALIGNMENT, 0]) + bytes(filling)
            archive.writestr(entry, data)
    return buffer.getvalue()


# --- our side --------------------------------------------------------------------------------------------------------


def _poses(result: Any, image: Picture, flip_horizontal: bool) -> list[Pose]:
    masks = result.segmentation_masks or [None] * len(result.pose_landmarks)
    return [
        _pose(landmarks, world, mask, image, flip_horizontal)
        for landmarks, world, mask in zip(result.pose_landmarks, result.pose_world_landmarks, masks, strict=True)
    ]


def _pose(landmarks: Any, world: Any, mask: Any, image: Picture, flip_horizontal: bool) -> Pose:
    height, width = image.shape[:2]
    rows = np.array([(p.x * width, p.y * height, p.z * width, p.visibility, p.presence) for p in landmarks], np.float32)
    metres = np.array([(p.x, p.y, p.z) for p in world], np.float32)
    if flip_horizontal:
        rows[:, 0] = width - 1 - rows[:, 0]
        metres[:, 0] *= -1
    xy = rows[:, :2]
    return Pose(
        xy=_owned(xy),
        z=_owned(rows[:, 2]),
        visibility=_owned(rows[:, 3]),
        presence=_owned(rows[:, 4]),
        world=_owned(metres),
        score=float(rows[:, 4].max()),
        box=_owned(np.concatenate([xy.min(0), xy.max(0)])),
        segmentation=None if mask is None else Segmentation(mask=_mask(mask, image, flip_horizontal)),
    )


def _mask(mask: Any, image: Picture, flip_horizontal: bool) -> Mask:
    height, width = image.shape[:2]
    image_from_mask = np.eye(2, 3)
    return Mask(
        probabilities=_owned(mask.numpy_view().reshape(height, width)),
        image_from_crop=_owned(mirror_x(image_from_mask, width) if flip_horizontal else image_from_mask),
        size_hw=(height, width),
        paste=pixels.paste,
    )


def _owned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy

"""The two unified APIs: `create_detector` for poses and `create_segmenter` for masks.

A detector or segmenter holds its networks and the state of one stream. Pictures need no state: without a
timestamp every call stands alone. With a timestamp in seconds (a `Frame` brings its own) the calls are one
stream, in which people are followed and smoothed at the true rate; `reset()` forgets it before the next one.
One object serves one thread at a time, others wait; for several streams make several, they share nothing.
"""

from __future__ import annotations

import inspect
import math
import operator
import os
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from numbers import Real
from types import TracebackType
from typing import Any, NoReturn, cast

from .errors import InputError, RuntimeUnavailableError
from .results import Frame, Pose, Segmentation

__all__ = ["PoseDetector", "Segmenter", "create_detector", "create_segmenter"]

ImageSource = Any
"""A path, encoded bytes, a PIL picture, a numpy array (RGB, RGBA or grey), a torch tensor, or a `Frame`."""

# (picture, options) -> results, and (state, picture, time, options) -> (state, results)
Estimate = Callable[..., Any]
Step = Callable[..., tuple[Any, Any]]
Read = Callable[..., Any]  # (source, bgr) -> picture; where pictures are not numpy's


class _Stream:
    """The part that detectors and segmenters share: which picture, which time, which state."""

    def __init__(self, estimate: Estimate, step: Step, read: Read | None = None) -> None:
        self._estimate = estimate
        self._step = step
        self._read = read
        self._state: Any = None
        self._lock = threading.Lock()  # the networks write into buffers of their own

    def _run(self, source: ImageSource, timestamp: float | None, bgr: bool, **options: Any) -> Any:
        from .media import read_image

        if isinstance(source, Frame):
            timestamp = source.time if timestamp is None else timestamp
            source = source.image
        image = (self._read or read_image)(source, bgr=bgr)
        seconds = None if timestamp is None else _seconds(timestamp)
        with self._lock:
            if seconds is None:
                return self._estimate(image, **options)
            self._state, result = self._step(self._state, image, seconds, **options)
            return result

    def reset(self) -> None:
        """Forget the stream: the next timestamp may be any, and nobody is followed or smoothed."""
        with self._lock:
            self._state = None

    def close(self) -> None:
        """Forget the stream. Networks are freed with the object itself."""
        self.reset()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled or copied; create one in each process")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PoseDetector(_Stream):
    """Finds the poses of people; made by `create_detector`."""

    def estimate_poses(
        self,
        image: ImageSource | None,
        *,
        max_poses: int = 1,
        flip_horizontal: bool = False,
        timestamp: float | None = None,
        bgr: bool = False,
    ) -> list[Pose]:
        """The people in a picture or in the next frame of a stream.

        Args:
            image: path, bytes, PIL picture, numpy array (H, W, 3 | 4) or (H, W), torch tensor, or `Frame`. With
                ``device="cuda"`` a (H, W, 3) uint8 tensor on a CUDA device is taken where it lies.
                None forgets the stream, as ``reset()`` does, and gives an empty list.
            max_poses: how many people to look for at most.
            flip_horizontal: give the results in the mirrored picture (x becomes width - 1 - x); left and right stay
                the person's own.
            timestamp: seconds, later than that of the call before. None for a picture that stands alone (a `Frame`
                brings its own time).
            bgr: the array's channels are blue, green, red.

        Returns:
            One `Pose` a person, best first; empty if there is nobody.

        Raises:
            ImageError: the picture cannot be read or used.
            TimestampError: the timestamp did not increase.
            InputError: another argument is wrong.
        """
        if image is None:
            self.reset()
            return []
        people = _people("max_poses", max_poses)
        poses: list[Pose] = self._run(image, timestamp, bgr, max_people=people, flip_horizontal=flip_horizontal)
        return poses

    def __enter__(self) -> PoseDetector:
        return self


class Segmenter(_Stream):
    """Finds the pixels of people; made by `create_segmenter`."""

    def __init__(
        self, estimate: Estimate, step: Step, options: Sequence[str] = (), *, read: Read | None = None
    ) -> None:
        super().__init__(estimate, step, read)
        self._options = options  # that only this model takes

    def segment_people(
        self,
        image: ImageSource | None,
        *,
        multi_segmentation: bool = False,
        segment_body_parts: bool = False,
        flip_horizontal: bool = False,
        timestamp: float | None = None,
        bgr: bool = False,
        **options: Any,
    ) -> list[Segmentation]:
        """The pixels of the people in a picture or in the next frame of a stream.

        Args:
            image: as for `PoseDetector.estimate_poses`; None forgets the stream and gives an empty list.
            multi_segmentation: one `Segmentation` a person, where the model can tell people apart.
            segment_body_parts: label each pixel with one of 24 parts of the body, where the model can.
            flip_horizontal: give the masks of the mirrored picture.
            timestamp: seconds, as for `PoseDetector.estimate_poses`.
            bgr: the array's channels are blue, green, red.
            **options: what else the model takes, for BodyPix for instance ``internal_resolution``.

        Returns:
            A list of `Segmentation`. Selfie Segmentation always gives exactly one, for all people together.

        Raises:
            ImageError: the picture cannot be read or used.
            TimestampError: the timestamp did not increase.
            InputError: another argument is wrong, or the model cannot do what it asks for.
        """
        if image is None:
            self.reset()
            return []
        _known("this segmenter", options, self._options)
        segmentations: list[Segmentation] = self._run(
            image,
            timestamp,
            bgr,
            multi_segmentation=multi_segmentation,
            segment_body_parts=segment_body_parts,
            flip_horizontal=flip_horizontal,
            **options,
        )
        return segmentations

    def __enter__(self) -> Segmenter:
        return self


def create_detector(
    model: str = "blazepose",
    *,
    model_type: str = "full",
    enable_smoothing: bool = True,
    enable_segmentation: bool = False,
    smooth_segmentation: bool = True,
    min_detection_confidence: float = 0.5,
    min_presence_confidence: float = 0.5,
    search: str = "fast",
    tracker: str = "box",
    detector_model_url: str | os.PathLike[str] | None = None,
    landmark_model_url: str | os.PathLike[str] | None = None,
    runtime: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> PoseDetector:
    """A detector of poses.

    Args:
        model: ``"blazepose"``.
        model_type: ``"lite"``, ``"full"`` or ``"heavy"``: faster, or more exact.
        enable_smoothing: in a stream, filter the keypoints over time.
        enable_segmentation: give each person's mask, too.
        smooth_segmentation: in a stream, filter the masks over time.
        min_detection_confidence: below it, what the detector found is nobody.
        min_presence_confidence: below it, the landmark network's region holds nobody.
        search: ``"fast"`` looks for people in the whole picture, as MediaPipe does. ``"thorough"`` also looks at many
            overlapping parts of it, and for faces: with ``max_poses`` above 1 that finds far more people, and takes a
            second or two for a picture; in a stream the parts are looked at one after the other, two a frame.
        tracker: what says in a stream who had which id: ``"box"``, the overlap of people's boxes, or ``"keypoint"``,
            the likeness of their keypoints.
        detector_model_url, landmark_model_url: another file for a network: a path or an http(s) address of a TFLite
            file or of a TensorFlow.js ``model.json``.
        runtime: what runs the networks, see ``posemask doctor``; ``"auto"`` takes the fastest that is installed.
            ``"mediapipe"`` runs the whole chain in MediaPipe Tasks, which always smooths keypoints and never masks.
        device: ``"cpu"``, or ``"cuda"`` (``"cuda:1"``) for pictures and networks on an NVIDIA GPU (with
            ``runtime="torch"`` only the networks). ``"auto"`` is the CPU.
        threads: CPU threads for the networks; None takes the machine's cores, four at most. Not with a CUDA device.

    Raises:
        InputError: an option is wrong.
        WeightsError: the weights cannot be had.
        RuntimeUnavailableError: the runtime or the device is not there.
    """
    _choice("model", model, ("blazepose",))
    _probability("min_detection_confidence", min_detection_confidence)
    _probability("min_presence_confidence", min_presence_confidence)
    _threads_of_a_cpu(threads, device)
    from .models import blazepose, blazepose_stream

    if runtime == "mediapipe":
        _choice("search with runtime='mediapipe'", search, ("fast",))
        return _mediapipe_detector(
            model_type, enable_segmentation, min_detection_confidence, min_presence_confidence,
            detector_model_url, landmark_model_url, device,
        )  # fmt: skip
    if _is_gpu_chain(runtime, device):
        gpu = _gpu()
        on_gpu = gpu.load_blazepose(
            model_type,
            device=device,
            segmentation=enable_segmentation,
            smooth_keypoints=enable_smoothing,
            smooth_masks=smooth_segmentation,
            min_detection_score=min_detection_confidence,
            min_presence_score=min_presence_confidence,
            search=search,
            tracker=tracker,
            detector_url=detector_model_url,
            landmarks_url=landmark_model_url,
        )
        return PoseDetector(on_gpu.estimate, on_gpu.step, gpu.read_picture)
    chain = blazepose.load(
        model_type,
        segmentation=enable_segmentation,
        smooth_keypoints=enable_smoothing,
        smooth_masks=smooth_segmentation,
        min_detection_score=min_detection_confidence,
        min_presence_score=min_presence_confidence,
        search=cast(Any, search),
        tracker=cast(Any, tracker),
        detector_url=detector_model_url,
        landmarks_url=landmark_model_url,
        runtime=cast(Any, runtime),
        device=_device(device),
        threads=threads,
    )
    return PoseDetector(partial(blazepose.estimate, chain), partial(blazepose_stream.step, chain))


def create_segmenter(
    model: str = "selfie_segmentation",
    *,
    model_url: str | os.PathLike[str] | None = None,
    runtime: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Segmenter:
    """A segmenter of people.

    Args:
        model: ``"selfie_segmentation"`` for people within two metres, ``"blazepose"`` for exact masks, parts and poses
            of some people, or ``"bodypix"`` for many people and parts.
        model_url: another file for the network: a path or an http(s) address of a TFLite file or of a TensorFlow.js
            ``model.json``. BlazePose has two networks, see ``detector_model_url`` and ``landmark_model_url``.
        runtime, device, threads: as in `create_detector`.
        **options: of Selfie Segmentation:

            - ``model_type``: ``"general"`` (256 x 256, the default) or ``"landscape"`` (144 x 256, faster);
            - ``smooth_segmentation``: in a stream, filter the masks over time (default False, as in MediaPipe).

            Of BlazePose: those of `create_detector` but ``enable_segmentation``, and

            - ``max_poses``: how many people to look for at most (default 1).

            Of BodyPix:

            - ``architecture``: ``"MobileNetV1"`` (the default) or ``"ResNet50"``;
            - ``output_stride``: 8, 16 (the default) or 32;
            - ``multiplier``: 0.5, 0.75 (the default) or 1.0; ResNet50 has 1.0 only;
            - ``quant_bytes``: 4 (the default), 2 or 1.

    Raises:
        InputError: an option is wrong.
        WeightsError: the weights cannot be had.
        RuntimeUnavailableError: the runtime or the device is not there.
    """
    _choice("model", model, tuple(_SEGMENTERS))
    _known(model, options, _SEGMENTERS[model])
    _threads_of_a_cpu(threads, device)
    if model == "blazepose":
        if model_url is not None:
            raise InputError("blazepose has two networks: give detector_model_url or landmark_model_url, not model_url")
        return _blazepose_segmenter(runtime=runtime, device=device, threads=threads, **options)
    place = {"model_url": model_url, "runtime": cast(Any, runtime), "device": _device(device), "threads": threads}
    if model == "bodypix":
        from .models import bodypix

        parts = bodypix.load(**options, **place)
        parameters = inspect.signature(bodypix.estimate).parameters.values()
        own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        return Segmenter(partial(bodypix.estimate, parts), partial(bodypix.step, parts), own)
    from .models import selfie

    if runtime == "mediapipe":
        return _mediapipe_segmenter(options.get("model_type", "general"), model_url, device)
    if _is_gpu_chain(runtime, device):
        gpu = _gpu()
        on_gpu = gpu.load_selfie(
            options.get("model_type", "general"),
            device=device,
            model_url=model_url,
            smooth_masks=options.get("smooth_segmentation", False),
        )
        return Segmenter(
            selfie.only_one_mask(on_gpu.estimate), selfie.only_one_mask(on_gpu.step), read=gpu.read_picture
        )
    people = selfie.load(
        options.get("model_type", "general"), smooth_masks=options.get("smooth_segmentation", False), **place
    )
    return Segmenter(
        selfie.only_one_mask(partial(selfie.estimate, people)), selfie.only_one_mask(partial(selfie.step, people))
    )


def _mediapipe_detector(
    model_type: str,
    segmentation: bool,
    min_detection_score: float,
    min_presence_score: float,
    detector_url: str | os.PathLike[str] | None,
    landmarks_url: str | os.PathLike[str] | None,
    device: str,
) -> PoseDetector:
    from .models import blazepose
    from .models.files import read_network
    from .runtimes import mediapipe

    _choice("device with runtime='mediapipe'", _device(device), ("cpu",))
    _choice("model_type", model_type, tuple(blazepose.MODEL_TYPES))
    spec = blazepose.MODEL_TYPES[model_type]
    chain = mediapipe.load_blazepose(
        read_network(spec.detector, detector_url),
        read_network(spec.landmarks, landmarks_url),
        segmentation=segmentation,
        min_detection_score=min_detection_score,
        min_presence_score=min_presence_score,
    )
    return PoseDetector(partial(mediapipe.estimate, chain), partial(mediapipe.step, chain))


def _mediapipe_segmenter(model_type: str, model_url: str | os.PathLike[str] | None, device: str) -> Segmenter:
    from .models import selfie
    from .models.files import read_network
    from .runtimes import mediapipe

    _choice("device with runtime='mediapipe'", _device(device), ("cpu",))
    _choice("model_type", model_type, tuple(selfie.MODEL_TYPES))
    chain = mediapipe.load_selfie(read_network(selfie.MODEL_TYPES[model_type].weights, model_url))
    estimate = selfie.only_one_mask(partial(mediapipe.segment, chain))
    return Segmenter(estimate, selfie.only_one_mask(partial(mediapipe.segment_step, chain)))


def _blazepose_segmenter(*, max_poses: int = 1, **options: Any) -> Segmenter:
    from .models import pose_segments

    people = _people("max_poses", max_poses)
    detector = create_detector("blazepose", enable_segmentation=True, **options)
    return Segmenter(
        partial(pose_segments.estimate, detector._estimate, max_people=people),
        partial(pose_segments.step, detector._step, max_people=people),
        read=detector._read,
    )


_SEGMENTERS = {
    "selfie_segmentation": ("model_type", "smooth_segmentation"),
    "blazepose": (
        "model_type",
        "max_poses",
        "enable_smoothing",
        "smooth_segmentation",
        "min_detection_confidence",
        "min_presence_confidence",
        "search",
        "tracker",
        "detector_model_url",
        "landmark_model_url",
    ),
    "bodypix": ("architecture", "output_stride", "multiplier", "quant_bytes"),
}


def _is_gpu_chain(runtime: str, device: str) -> bool:
    """Whether the whole chain runs on a GPU; with ``runtime="torch"`` only the networks do."""
    return runtime == "auto" and _device(device).partition(":")[0] == "cuda"


def _gpu() -> Any:
    try:
        from .gpu import chain
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"device='cuda' needs PyTorch, which cannot be imported ({error}): pip install \"posemask[torch]\""
        ) from error
    return chain


def _device(name: Any) -> str:
    if not isinstance(name, str):
        raise InputError(f"device must be 'auto', 'cpu' or a CUDA device such as 'cuda:0', got {name!r}")
    return "cpu" if name == "auto" else name


def _threads_of_a_cpu(threads: int | None, device: Any) -> None:
    if threads is not None and _device(device).startswith("cuda"):
        raise InputError(f"threads are a CPU's: got threads={threads} and device={device!r}; leave threads away")


def _choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def _known(who: str, given: Iterable[str], taken: Collection[str]) -> None:
    unknown = sorted(set(given) - set(taken))
    if unknown:
        what = f"it takes {', '.join(taken)}" if taken else "it takes none of its own"
        raise InputError(f"{who} has no option {', '.join(map(repr, unknown))}; {what}")


def _people(name: str, value: Any) -> int:
    try:
        people = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        people = 0
    if people < 1:
        raise InputError(f"{name} must be an integer of at least 1, got {value!r}")
    return people


def _probability(name: str, value: Any) -> None:
    if not isinstance(value, Real) or not 0.0 <= float(value) <= 1.0:
        raise InputError(f"{name} must be a number in [0, 1], got {value!r}")


def _seconds(timestamp: float) -> float:
    try:
        seconds = float(timestamp)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"timestamp must be a number of seconds, got {timestamp!r}") from None
    if not math.isfinite(seconds):
        raise InputError(f"timestamp must be a finite number of seconds, got {timestamp!r}")
    return seconds

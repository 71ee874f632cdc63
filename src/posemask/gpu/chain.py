"""The GPU engine behind the unified APIs: pictures in, numpy results out.

A numpy picture goes up through pinned memory, a tensor that is on the device already stays where it is; the networks
and all pixels of the picture are the device's work. What comes back is small (keypoints, and masks in their crops), and
the call waits for it. Who is who, what is smoothed and which pixel is whose is decided as on the CPU, by the same code.
Programs that have many streams, or that want finished frames, use `posemask.gpu.pool` and wait for nothing.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError, ModelFileError
from ..media import read_image
from ..models import blazepose, blazepose_stream, selfie
from ..models.faces import read_face_detectors
from ..models.files import read_network
from ..models.tfjs_twins import landmarks_like_tflite
from ..numbers.people import TrackerKind
from ..results import Pose, Segmentation
from .batches import DeviceBatches, DeviceSelfie
from .compiler import CudaKernels, Kernels
from .memory import enough_memory

__all__ = ["BlazePoseChain", "SelfieChain", "load_blazepose", "load_selfie", "read_picture"]

Picture: TypeAlias = "npt.NDArray[np.uint8] | torch.Tensor"
OTHER_OUTPUTS = (
    "device='cuda' takes networks with the outputs of MediaPipe's TFLite files; for others use runtime='torch', or "
    "device='cpu'"
)
MOST_SIZES = 4
"""Sizes of pictures for which memory stays ready; an older one is forgotten and made anew when it comes again."""


def read_picture(source: Any, *, bgr: bool = False) -> Picture:
    """As `posemask.media.read_image`, but a (H, W, 3) uint8 tensor on a CUDA device stays there."""
    if isinstance(source, torch.Tensor) and source.is_cuda and source.dtype == torch.uint8 and source.ndim == 3:
        height, width, channels = source.shape
        if channels == 3 and min(height, width) >= 2:
            return source.flip(2) if bgr else source
    return read_image(source, bgr=bgr)


class _Uploads:
    """A picture's way to the device, through memory that the device can read by itself."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._places = _Newest(self._make)

    def __call__(self, image: Picture) -> torch.Tensor:
        """The picture on the device; a numpy picture only until the next one of its size comes."""
        if isinstance(image, torch.Tensor):
            return image.to(self._device).contiguous()
        host, picture = self._places(image.shape[:2])
        np.copyto(host.numpy(), image)
        with torch.inference_mode():
            copied: torch.Tensor = picture.copy_(host, non_blocking=True)
        return copied

    def _make(self, size_hw: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (*size_hw, 3)
        host = torch.empty(shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        return host, torch.empty(shape, dtype=torch.uint8, device=self._device)


class _Newest:
    """The newest few of what is dear to make, by what it was made for."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._held: OrderedDict[Any, Any] = OrderedDict()

    def __call__(self, *key: Any) -> Any:
        if key not in self._held:
            self._held[key] = self._make(*key)
            if len(self._held) > MOST_SIZES:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


class BlazePoseChain:
    """BlazePose with the calls of `posemask.models`: `estimate` for pictures, `step` for streams.

    Options are those of `posemask.models.blazepose.BlazePose`.
    """

    @enough_memory("BlazePose")
    def __init__(
        self,
        place: Kernels,
        detector: Any,
        landmarks: Any,
        *,
        face_detectors: Sequence[Any] = (),
        segmentation: bool = False,
        **options: Any,
    ) -> None:
        batches = DeviceBatches(place, detector, landmarks, segmentation=segmentation, face_detectors=face_detectors)
        self._model = blazepose.BlazePose(
            detector=_not_on_the_host,
            landmarker=_not_on_the_host,
            segmentation=segmentation,
            batches=batches,
            **options,
        )
        self._on_device = _Uploads(place.device)

    @enough_memory("BlazePose")
    def estimate(self, image: Picture, *, max_people: int = 1, flip_horizontal: bool = False) -> list[Pose]:
        """As `posemask.models.blazepose.estimate`."""
        picture: Any = self._on_device(image)
        return blazepose.estimate(self._model, picture, max_people=max_people, flip_horizontal=flip_horizontal)

    @enough_memory("BlazePose")
    def step(
        self,
        state: blazepose_stream.StreamState | None,
        image: Picture,
        time: float,
        *,
        max_people: int = 1,
        flip_horizontal: bool = False,
    ) -> tuple[blazepose_stream.StreamState, list[Pose]]:
        """As `posemask.models.blazepose_stream.step`."""
        picture: Any = self._on_device(image)
        people = {"max_people": max_people, "flip_horizontal": flip_horizontal}
        return blazepose_stream.step(self._model, state, picture, time, **people)  # type: ignore[arg-type]


def _not_on_the_host(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("the networks of this model run in its batches")


class SelfieChain:
    """Selfie Segmentation with the calls of `posemask.models.selfie`."""

    @enough_memory("Selfie Segmentation")
    def __init__(self, place: Kernels, spec: selfie.SelfieSpec, network: Any, *, smooth_masks: bool = False) -> None:
        self._model = selfie.Selfie(
            spec=spec, network=_not_on_the_host, smooth_masks=smooth_masks, whole=DeviceSelfie(place, network)
        )
        self._on_device = _Uploads(place.device)

    @enough_memory("Selfie Segmentation")
    def estimate(self, image: Picture, *, flip_horizontal: bool = False) -> list[Segmentation]:
        """As `posemask.models.selfie.estimate`."""
        picture: Any = self._on_device(image)
        return selfie.estimate(self._model, picture, flip_horizontal=flip_horizontal)

    @enough_memory("Selfie Segmentation")
    def step(
        self, state: selfie.StreamState | None, image: Picture, time: float, *, flip_horizontal: bool = False
    ) -> tuple[selfie.StreamState, list[Segmentation]]:
        """As `posemask.models.selfie.step`."""
        picture: Any = self._on_device(image)
        return selfie.step(self._model, state, picture, time, flip_horizontal=flip_horizontal)


def load_blazepose(
    model_type: str = "full",
    *,
    device: str = "cuda",
    segmentation: bool = False,
    smooth_keypoints: bool = True,
    smooth_masks: bool = True,
    min_detection_score: float = 0.5,
    min_presence_score: float = 0.5,
    search: blazepose.Search = "fast",
    tracker: TrackerKind = "box",
    detector_url: str | os.PathLike[str] | None = None,
    landmarks_url: str | os.PathLike[str] | None = None,
) -> BlazePoseChain:
    """BlazePose on a CUDA device; arguments as of `posemask.models.blazepose.load`.

    Raises `InputError` for a wrong option or for TensorFlow.js files, `WeightsError`, `ModelFileError` for a file that
    is not this kind of network, and `RuntimeUnavailableError` if the device is missing or too old.
    """
    spec = blazepose.spec_of(model_type, search, tracker)
    place = CudaKernels(device)
    detector, landmarks = read_network(spec.detector, detector_url), read_network(spec.landmarks, landmarks_url)
    if detector.output_shapes not in blazepose.DETECTOR_OUTPUTS:
        raise ModelFileError(f"the network is no BlazePose detector: {detector}")
    if len(detector.outputs) != 2 or landmarks_like_tflite(landmarks) is not landmarks:
        raise InputError(OTHER_OUTPUTS)
    return BlazePoseChain(
        place,
        detector,
        landmarks,
        face_detectors=read_face_detectors() if search == "thorough" else (),
        segmentation=segmentation,
        smooth_keypoints=smooth_keypoints,
        smooth_masks=smooth_masks,
        min_detection_score=min_detection_score,
        min_presence_score=min_presence_score,
        search=search,
        tracker=tracker,
    )


def load_selfie(
    model_type: str = "general",
    *,
    device: str = "cuda",
    model_url: str | os.PathLike[str] | None = None,
    smooth_masks: bool = False,
) -> SelfieChain:
    """Selfie Segmentation on a CUDA device; errors as of `load_blazepose`."""
    place = CudaKernels(device)
    spec, network = selfie.read(model_type, model_url)
    if len(network.outputs) != 1 or network.output_shapes[0][3] != 1:
        raise InputError(OTHER_OUTPUTS)
    return SelfieChain(place, spec, network, smooth_masks=smooth_masks)

"""The GPU engine behind the unified APIs: numpy pictures in, numpy results out, everything between on the device.

A picture goes up through pinned memory and the results come back in one copy, for which the call waits: at 1280 x 720
about 0.1 ms up and a few hundredths of a millisecond back on a fast link. Programs that have many streams, or whose
frames are on the device already, use `posemask.gpu.pool` and wait for nothing.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError, TimestampError
from ..models import blazepose, selfie
from ..models.files import read_network
from ..numbers.tracking import Landmarks
from ..results import Pose, Segmentation
from .compiler import CudaKernels, Kernels
from .pool import PosePool, SelfiePool

__all__ = ["BlazePoseChain", "SelfieChain", "load_blazepose", "load_selfie"]

Picture = npt.NDArray[np.uint8]
MOST_POOLS = 4
"""Sizes of pictures for which a chain stays ready; an older one is forgotten and captured anew when it comes again."""


class _Upload:
    """A picture's way to the device, through memory that the device can read by itself."""

    def __init__(self, size_hw: tuple[int, int], device: torch.device) -> None:
        shape = (*size_hw, 3)
        self._host = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
        self.picture = torch.empty(shape, dtype=torch.uint8, device=device)

    def __call__(self, image: Picture) -> torch.Tensor:
        np.copyto(self._host.numpy(), image)
        return self.picture.copy_(self._host, non_blocking=True)


class _Ready:
    """The newest few of what is dear to make, by what it was made for."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._held: OrderedDict[Any, Any] = OrderedDict()

    def __call__(self, *key: Any) -> Any:
        if key not in self._held:
            self._held[key] = self._make(*key)
            if len(self._held) > MOST_POOLS:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


@dataclass(frozen=True, slots=True, eq=False)
class _StreamState:
    """What a stream remembers: its time and size, and the pool that holds its people if anybody is followed."""

    time: float
    size_hw: tuple[int, int]
    pool: tuple[PosePool, _Upload] | None


class BlazePoseChain:
    """BlazePose with the calls of `posemask.models`: `estimate` for pictures, `step` for streams."""

    def __init__(self, place: Kernels, detector: Any, landmarks: Any, **options: Any) -> None:
        def make(purpose: str, size_hw: tuple[int, int], people: int) -> tuple[PosePool, _Upload]:
            pool = PosePool(place, detector, landmarks, [size_hw] * people, exact_detector=True, **options)
            return pool, _Upload(size_hw, place.device)

        self._pools = _Ready(make)

    def estimate(self, image: Picture, *, max_people: int = 1, flip_horizontal: bool = False) -> list[Pose]:
        """People in a picture: the detector, then the landmark network, no memory."""
        pool, upload = self._pools("picture", image.shape[:2], max_people)
        for row in range(max_people):
            pool.reset(row)
        return self._run(pool, upload, image, 0.0, look=True, flip_horizontal=flip_horizontal)

    def step(
        self,
        state: _StreamState | None,
        image: Picture,
        time: float,
        *,
        max_people: int = 1,
        flip_horizontal: bool = False,
    ) -> tuple[_StreamState, list[Pose]]:
        """One frame of a stream; `state` is what this gave for the frame before, None at the start.

        One stream at a time is followed by a chain, as by a detector of the API.
        """
        size_hw = (image.shape[0], image.shape[1])
        if state is not None and time <= state.time:
            raise TimestampError(time, state.time)
        pool, upload = self._pools("stream", size_hw, max_people)
        followed = state is not None and state.pool is not None and state.pool[0] is pool and state.size_hw == size_hw
        if not followed:
            for row in range(max_people):
                pool.reset(row)
        poses = self._run(pool, upload, image, time, look=not followed, flip_horizontal=flip_horizontal)
        return _StreamState(time, size_hw, (pool, upload) if poses else None), poses

    def _run(
        self, pool: PosePool, upload: _Upload, image: Picture, time: float, *, look: bool, flip_horizontal: bool
    ) -> list[Pose]:
        frames = [upload(image)] * pool.count
        pool.point_at(frames)
        if look:
            pool.look_for_people()
        r = pool.observe(frames, [time] * pool.count)
        found = r.found.cpu().numpy().astype(bool)  # here the call waits
        if not found[0]:
            return []

        def host(tensor: torch.Tensor, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
            values: npt.NDArray[Any] = tensor.cpu().numpy()[found].astype(dtype)
            return values

        xyz = host(r.xyz, np.float64)
        landmarks = Landmarks(
            xyz=xyz,
            auxiliary_xy=np.zeros((len(xyz), 2, 2)),
            world=host(r.world, np.float64),
            visibility=host(r.visibility, np.float32),
            presence=host(r.presence, np.float32),
            score=host(r.score, np.float32),
            roi=host(r.roi, np.float64),
        )
        masks = None if r.masks is None else host(r.masks, np.float32)
        return blazepose.make_poses(landmarks, masks, image, flip_horizontal)


class SelfieChain:
    """Selfie Segmentation with the calls of `posemask.models.selfie`."""

    def __init__(self, place: Kernels, spec: selfie.SelfieSpec, network: Any, *, smooth_masks: bool = False) -> None:
        self._model = selfie.Selfie(spec=spec, network=lambda _: (), smooth_masks=smooth_masks)

        def make(purpose: str, size_hw: tuple[int, int]) -> tuple[SelfiePool, _Upload]:
            pool = SelfiePool(place, network, [size_hw], smooth_masks=smooth_masks and purpose == "stream")
            return pool, _Upload(size_hw, place.device)

        self._pools = _Ready(make)

    def estimate(self, image: Picture, *, flip_horizontal: bool = False) -> list[Segmentation]:
        """Everybody in a picture, as exactly one `Segmentation`."""
        return self._run("picture", image, 0.0, True, flip_horizontal)

    def step(
        self, state: float | None, image: Picture, time: float, *, flip_horizontal: bool = False
    ) -> tuple[float, list[Segmentation]]:
        """One frame of a stream; the state is the time of the frame before, the mask stays on the device."""
        if state is not None and time <= state:
            raise TimestampError(time, state)
        return time, self._run("stream", image, time, state is None, flip_horizontal)

    def _run(self, purpose: str, image: Picture, time: float, fresh: bool, flip_horizontal: bool) -> list[Segmentation]:
        pool, upload = self._pools(purpose, image.shape[:2])
        if fresh:
            pool.reset(0)
        masks = pool.step([upload(image)], [time]).masks
        probabilities = masks[0].float().cpu().numpy()  # here the call waits
        return [selfie.make_segmentation(self._model, probabilities, image, flip_horizontal)]


def load_blazepose(
    model_type: str = "full",
    *,
    device: str = "cuda",
    detector_url: str | os.PathLike[str] | None = None,
    landmarks_url: str | os.PathLike[str] | None = None,
    **options: Any,
) -> BlazePoseChain:
    """BlazePose on a CUDA device; options as of `posemask.gpu.pool.PosePool`.

    Raises `InputError` for an unknown model type or TensorFlow.js files, `WeightsError`, and `RuntimeUnavailableError`
    if the device is missing or too old.
    """
    if model_type not in blazepose.MODEL_TYPES:
        raise InputError(f"model_type must be one of {', '.join(blazepose.MODEL_TYPES)}, got {model_type!r}")
    place = CudaKernels(device)
    spec = blazepose.MODEL_TYPES[model_type]
    detector, landmarks = read_network(spec.detector, detector_url), read_network(spec.landmarks, landmarks_url)
    if len(detector.outputs) != 2 or len(landmarks.outputs) != 5:
        raise InputError("device='cuda' takes networks with the outputs of MediaPipe's TFLite files")
    return BlazePoseChain(place, detector, landmarks, **options)


def load_selfie(
    model_type: str = "general",
    *,
    device: str = "cuda",
    model_url: str | os.PathLike[str] | None = None,
    smooth_masks: bool = False,
) -> SelfieChain:
    """Selfie Segmentation on a CUDA device; errors as of `load_blazepose`."""
    if model_type not in selfie.MODEL_TYPES:
        raise InputError(f"model_type must be one of {', '.join(selfie.MODEL_TYPES)}, got {model_type!r}")
    place = CudaKernels(device)
    spec = selfie.MODEL_TYPES[model_type]
    network = read_network(spec.weights, model_url)
    if len(network.outputs) != 1 or network.output_shapes[0][3] != 1:
        raise InputError("device='cuda' takes networks with the output of MediaPipe's TFLite files")
    return SelfieChain(place, spec, network, smooth_masks=smooth_masks)

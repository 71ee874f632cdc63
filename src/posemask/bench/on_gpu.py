"""What ``posemask bench --device cuda`` measures: networks, chains of resident frames, calls, video files."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import api
from ..gpu import bench
from ..gpu.compiler import CudaKernels, require_cuda
from ..gpu.pictures import Effect
from ..gpu.pool import PosePool, SelfiePool
from ..models.blazepose import MODEL_TYPES as POSE_TYPES
from ..models.files import read_network
from ..models.selfie import MODEL_TYPES as SELFIE_TYPES

__all__ = ["COLUMNS", "MODELS", "Measured", "describe", "networks_of", "require_cuda", "survey"]

COLUMNS = ("work", "at once", "device ms", "with waiting ms", "frames/s", "MB a stream", "GPU busy")
BATCHES = (1, 64, 512)
HALF, PRECISE = "half", "precise"
MOST_FILES = 64
MODELS = (*POSE_TYPES, *SELFIE_TYPES)
EFFECTS = {
    "keypoints": None,
    "keypoints + mask": None,
    "mask + blur": Effect(),
    "4 people, mask + blur": Effect(),  # of PLACES
    "blur": Effect(),
    "replace": Effect(background="picture"),
}
PLACES = {"4 people, mask + blur": 4}  # for people in each stream, where there is more than one


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row.

    Attributes:
        work: what was done.
        at_once: pictures of a batch, or streams.
        ms: of one go (all pictures or streams) on the device; None where only the rate was measured.
        waiting_ms: of one go and the wait for it, on the host.
        frames_per_s: goes queued one behind the other.
        memory_mb: that a stream takes on the device.
        busy: share of the time in which the device worked; None where it always did.
    """

    work: str
    at_once: int
    ms: float | None = None
    waiting_ms: float | None = None
    frames_per_s: float
    memory_mb: float | None = None
    busy: float | None = None

    def cells(self) -> tuple[str, ...]:
        """As text, under `COLUMNS`."""
        return (
            self.work,
            str(self.at_once),
            *("" if value is None else f"{value:.3f}" for value in (self.ms, self.waiting_ms)),
            f"{self.frames_per_s:.0f}",
            "" if self.memory_mb is None else f"{self.memory_mb:.1f}",
            "" if self.busy is None else f"{self.busy:.0%}",
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


def describe(device: str) -> str:
    """The card, and what drives it."""
    place = require_cuda(device)
    return f"{torch.cuda.get_device_name(place)}, CUDA {torch.version.cuda}"


def networks_of(models: Sequence[str]) -> list[str]:
    """Names of the weights that models need."""
    poses = [POSE_TYPES[model] for model in models if model in POSE_TYPES]
    names = {name for spec in poses for name in (spec.detector, spec.landmarks)}
    return sorted(names | {SELFIE_TYPES[model].weights for model in models if model in SELFIE_TYPES})


def survey(
    models: Sequence[str],
    streams: Sequence[int],
    words: Sequence[str],
    frame: np.ndarray[Any, Any],
    *,
    device: str = "cuda",
    video: Path | None = None,
) -> Iterator[tuple[str, Callable[[], Measured]]]:
    """The rows: a name, and what measures it.

    Args:
        models: of `MODELS`.
        streams: how many streams a chain has; one row each.
        words: only rows whose name has all of these.
        frame: (H, W, 3) uint8 RGB, shown to every stream.
        device: a CUDA device.
        video: a file to decode on the device.

    Raises `RuntimeUnavailableError` if there is no such device.
    """
    place = CudaKernels(device)
    torch.cuda.set_device(place.device)
    resident = torch.from_numpy(np.ascontiguousarray(frame)).to(place.device)
    rows: list[tuple[str, Callable[[str], Measured]]] = []
    for name in networks_of(models):
        for precision in (HALF, PRECISE) if name.startswith("pose_") else (HALF,):
            rows += [
                (f"network {name}, {precision} x {batch}", partial(_network, name, batch, device, precision))
                for batch in BATCHES
            ]
    chains = [
        (f"{model}, {precision}: {what}", partial(_pool, place, model, precision, what))
        for model in models
        for precision in ((PRECISE, HALF) if model in POSE_TYPES else (HALF,))
        for what in _whats(model)
    ]
    for name, make in chains:
        rows += [(f"{name} x {count}", partial(_streams, make, resident, count)) for count in streams]
    rows += [(f"{model}: numpy in and out", partial(_calls, model, frame, device)) for model in models]
    if video is not None:
        for count in (count for count in streams if count <= MOST_FILES):
            rows.append((f"decode x {count}", partial(_files, None, video, count, device)))
            rows += [
                (f"decode + {name} x {count}", partial(_files, make, video, count, device)) for name, make in chains
            ]
    for name, measure in rows:
        if all(word in name for word in words):
            yield name, partial(measure, name.rpartition(" x ")[0] or name)


def _whats(model: str) -> tuple[str, ...]:
    if model in POSE_TYPES:
        return ("keypoints", "keypoints + mask", "mask + blur", "4 people, mask + blur")
    return ("replace", "blur")


def _pool(
    place: CudaKernels, model: str, precision: str, what: str, sizes: Sequence[tuple[int, int]], **form: Any
) -> Any:
    """The pool of a chain for frames of some sizes."""
    effect = EFFECTS[what]
    if model in SELFIE_TYPES:
        return SelfiePool(place, read_network(SELFIE_TYPES[model].weights), sizes, effect=effect, **form)
    detector, landmarks = read_network(POSE_TYPES[model].detector), read_network(POSE_TYPES[model].landmarks)
    return PosePool(
        place,
        detector,
        landmarks,
        sizes,
        max_people=PLACES.get(what, 1),
        segmentation=what != "keypoints",
        effect=effect,
        precise=precision == PRECISE,
        **form,
    )


def _network(name: str, batch: int, device: str, precision: str, work: str) -> Measured:
    times = bench.measure_network(read_network(name), batch, device=device, precise=precision == PRECISE)
    torch.cuda.empty_cache()
    return Measured(
        work=work, at_once=batch, ms=times.ms, waiting_ms=times.synchronised_ms, frames_per_s=times.frames_per_s
    )


def _streams(make: Callable[..., Any], frame: torch.Tensor, count: int, work: str) -> Measured:
    times = bench.measure_streams(make, frame, count, steps=max(8, min(60, 20000 // count)))
    torch.cuda.empty_cache()
    return Measured(
        work=work,
        at_once=count,
        ms=times.latency_ms,
        waiting_ms=times.latency_host_ms,
        frames_per_s=times.frames_per_s,
        memory_mb=times.memory_mb,
    )


def _calls(model: str, frame: np.ndarray[Any, Any], device: str, work: str) -> Measured:
    """Calls of the unified APIs in a stream: a numpy picture up, keypoints and the mask in its crop back."""
    call: Callable[..., Any]
    if model in POSE_TYPES:
        call = api.create_detector(model_type=model, enable_segmentation=True, device=device).estimate_poses
    else:
        call = api.create_segmenter(model_type=model, device=device).segment_people
    taken = []
    for index in range(60):
        begin = time.perf_counter()
        call(frame, timestamp=index / 30)
        taken.append(time.perf_counter() - begin)
    median = float(np.median(taken[10:]))
    return Measured(work=work, at_once=1, waiting_ms=median * 1e3, frames_per_s=1 / median)


def _files(make: Callable[..., Any] | None, video: Path, count: int, device: str, work: str) -> Measured:
    path = str(video)
    times = (
        bench.measure_files(make, path, count, device=device)
        if make
        else bench.measure_decoding(path, count, device=device)
    )
    torch.cuda.empty_cache()
    return Measured(work=work, at_once=count, frames_per_s=times.frames_per_s, busy=times.busy if make else None)

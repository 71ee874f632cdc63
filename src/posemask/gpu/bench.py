"""Measuring on the device: what `posemask bench --device cuda` and benchmarks/gpu_*.py report.

Device times are CUDA events; each figure is the median of its repeats after a warm-up.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import InputError
from ..networks.graph import Graph
from . import decode
from .feed import Departures
from .network import load

__all__ = [
    "FileTimes",
    "NetworkTimes",
    "StreamTimes",
    "measure_decoding",
    "measure_files",
    "measure_network",
    "measure_streams",
    "median_ms",
    "synchronised_ms",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTimes:
    """A network alone at a batch.

    Attributes:
        batch: pictures a run.
        ms: of a run on the device, runs queued one behind the other.
        synchronised_ms: of a run and the wait for it, on the host: what TensorFlow.js reports with synchronisation.
        frames_per_s: batch / ms.
        ready_s: from the graph to the first result: plan, compile or load the kernels, upload, capture.
    """

    batch: int
    ms: float
    synchronised_ms: float
    frames_per_s: float
    ready_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTimes:
    """A pool of streams, frames resident on the device.

    Attributes:
        streams: how many.
        latency_ms: of a step on the device, waited for before the next.
        latency_host_ms: the same on the host's clock.
        frames_per_s: steps queued one behind the other.
        memory_mb: that the pool reserved on the device for each stream.
        ready_s: to make the pool.
        found: streams in which a person was seen in the last step, or all.
    """

    streams: int
    latency_ms: float
    latency_host_ms: float
    frames_per_s: float
    memory_mb: float
    ready_s: float
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTimes:
    """Video files decoded on the device, each a stream of a pool.

    Attributes:
        streams: files.
        frames: of all of them.
        frames_per_s: of all of them, from the first frame to the last result on the host.
        busy: share of that time that the device needs for the frames, when they lie ready (decoding is another unit's
            work).
    """

    streams: int
    frames: int
    frames_per_s: float
    busy: float


def median_ms(run: Callable[[], Any], repeats: int = 30, inner: int = 1) -> float:
    """Median time of a run on the device."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(inner):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / inner)
    return float(statistics.median(times))


def synchronised_ms(run: Callable[[], Any], repeats: int = 30) -> float:
    """Median time on the host of a run and the wait for it."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def measure_network(
    graph: Graph, batch: int, *, device: str = "cuda", precise: bool = False, repeats: int = 30
) -> NetworkTimes:
    """A network of random pictures at a batch, tuned for it and captured."""
    begin = time.perf_counter()
    replay = load(graph, device=device, batch=batch, precise=precise).capture(batch)
    torch.cuda.synchronize()
    ready = time.perf_counter() - begin
    replay.input.copy_(torch.rand(replay.input.shape, device=replay.input.device))
    ms = median_ms(replay.replay, repeats)
    waited = synchronised_ms(replay.replay, repeats)
    return NetworkTimes(batch=batch, ms=ms, synchronised_ms=waited, frames_per_s=batch / ms * 1e3, ready_s=ready)


def measure_streams(
    make: Callable[[Sequence[tuple[int, int]]], Any], frame: torch.Tensor, streams: int, *, steps: int = 60
) -> StreamTimes:
    """A pool that `make` makes for sizes, every stream shown the same frame (its own copy of it), 30 times a second.

    While it is measured, anything that makes the host wait for the device is an error.
    """
    gc.collect()  # pools that are in use no more, for graphs and pools know each other
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before, begin = torch.cuda.memory_reserved(), time.perf_counter()
    pool = make([(frame.shape[0], frame.shape[1])] * streams)
    torch.cuda.synchronize()
    ready, memory = time.perf_counter() - begin, torch.cuda.memory_reserved() - before
    frames, clock = [frame.clone() for _ in range(streams)], 0.0

    def step() -> Any:
        nonlocal clock
        clock += 1 / 30
        return pool.step(frames, [clock] * streams)

    for _ in range(8):
        result = step()
        torch.cuda.synchronize()
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
    try:
        latencies = []
        for _ in range(40):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            host = time.perf_counter()
            start.record()
            step()
            end.record()
            end.synchronize()
            latencies.append((start.elapsed_time(end), (time.perf_counter() - host) * 1e3))
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(steps):
            result = step()
        end.record()
        end.synchronize()
        elapsed = start.elapsed_time(end)
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    return StreamTimes(
        streams=streams,
        latency_ms=statistics.median(device for device, _ in latencies),
        latency_host_ms=statistics.median(host for _, host in latencies),
        frames_per_s=streams * steps / elapsed * 1e3,
        memory_mb=memory / streams / 2**20,
        ready_s=ready,
        found=int(result.found.sum()) if hasattr(result, "found") else streams,
    )


def measure_decoding(path: str, streams: int, *, device: str = "cuda") -> FileTimes:
    """The decoder alone: a file decoded as `streams` files at once."""
    return _measure_files(path, streams, device, None)


def measure_files(make: Callable[..., Any], path: str, streams: int, *, device: str = "cuda") -> FileTimes:
    """A file decoded as `streams` files at once, each a stream of a pool, whose results all go to the host.

    `make(sizes, form=..., colors=...)` makes the pool. The files are decoded by as many sessions, which the driver
    deals out to the card's decoders.
    """
    return _measure_files(path, streams, device, make)


def _measure_files(path: str, streams: int, device: str, make: Callable[..., Any] | None) -> FileTimes:
    with contextlib.ExitStack() as stack:
        videos = [stack.enter_context(decode.read_video(path, device=device, form="nv12")) for _ in range(streams)]
        sizes = [video.size_hw for video in videos]
        pool = make(sizes, form="nv12", colors=[video.colors for video in videos]) if make else None
        leaving: Departures | None = None
        steps, begin, last = 0, 0.0, 0.0
        for frames in zip(*videos, strict=False):
            if steps == 1:  # the decoders have started, and are ahead by what their rings hold
                torch.cuda.synchronize()
                begin = time.perf_counter()
            steps += 1
            if pool is None:
                continue
            images, last = [frame.image for frame in frames], frames[0].time
            result = pool.step(images, [last] * streams)
            if leaving is None:
                leaving = Departures(*(result.pictures or _small_results(result)))
            if leaving.full:
                leaving.take()
            leaving.send()
        while leaving is not None and leaving.take() is not None:
            pass
        torch.cuda.synchronize()
        elapsed = time.perf_counter() - begin
        if steps < 2:
            raise InputError(f"{path} is too short to be measured: two pictures are needed")

        busy = 0.0
        if pool is not None and leaving is not None:
            ahead = itertools.count(1)

            def again() -> None:
                pool.step(images, [last + next(ahead)] * streams)
                if leaving.full:
                    leaving.take()
                leaving.send()

            busy = median_ms(again, 10, inner=8) * (steps - 1) / 1e3 / elapsed
    frames_done = (steps - 1) * streams
    return FileTimes(streams=streams, frames=frames_done, frames_per_s=frames_done / elapsed, busy=busy)


def _small_results(result: Any) -> list[torch.Tensor]:
    wanted = [getattr(result, name, None) for name in ("found", "xyz", "world", "visibility", "masks")]
    return [tensor for tensor in wanted if tensor is not None]

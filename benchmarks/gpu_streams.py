"""Whole chains on a GPU: streams of resident frames to keypoints, masks and finished frames.

    POSEMASK_WEIGHTS=weights python benchmarks/gpu_streams.py [--frame FILE.npy] [--streams 1 16 64] [--json FILE]

Latency: one stream, CUDA events around each step, median. Throughput: steps queued one after the other, frames a
second over the whole. Both with `torch.cuda.set_sync_debug_mode("error")`. Memory: what the pool allocated, per stream.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posemask.gpu.bench import measure_streams
from posemask.gpu.compiler import CudaKernels
from posemask.gpu.pictures import Effect
from posemask.gpu.pool import PosePool, SelfiePool
from posemask.networks.read_tflite import read_tflite

SIZE = (720, 1280)

Sizes = Sequence[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--frame", type=Path, help="(720, 1280, 3) uint8 .npy with a person; else noise, where nobody is followed"
    )
    parser.add_argument("--streams", nargs="*", type=int, default=(1, 16, 64, 256, 512))
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(os.environ["POSEMASK_WEIGHTS"])
    place = CudaKernels()
    if options.frame:
        frame = torch.from_numpy(np.load(options.frame)).cuda()
    else:
        frame = torch.randint(0, 255, (*SIZE, 3), dtype=torch.uint8, device="cuda")

    def graph(name: str) -> Any:
        return read_tflite(folder / f"{name}.tflite")

    detector = graph("pose_detection")
    chains: dict[str, Callable[[Sizes], Any]] = {
        "full, keypoints": lambda s: PosePool(place, detector, graph("pose_landmark_full"), s),
        "full, keypoints + mask": lambda s: PosePool(
            place, detector, graph("pose_landmark_full"), s, segmentation=True
        ),
        "full + mask + blur": lambda s: PosePool(place, detector, graph("pose_landmark_full"), s, effect=Effect()),
        "lite + mask + blur": lambda s: PosePool(place, detector, graph("pose_landmark_lite"), s, effect=Effect()),
        "landscape + replace": lambda s: SelfiePool(
            place, graph("selfie_segmentation_landscape"), s, effect=Effect(background="picture")
        ),
        "landscape + blur": lambda s: SelfiePool(place, graph("selfie_segmentation_landscape"), s, effect=Effect()),
    }
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    results: dict[str, Any] = {}
    for name, make in chains.items():
        if options.only and name not in options.only:
            continue
        results[name] = []
        for streams in options.streams:
            row = measure_streams(make, frame, streams, steps=max(8, min(options.steps, 20000 // streams)))
            results[name].append(dataclasses.asdict(row))
            print(
                f"{name:24s} {streams:4d} streams: latency {row.latency_ms:7.3f} ms (host {row.latency_host_ms:7.3f}), "
                f"{row.frames_per_s:9.0f} frames/s, {row.memory_mb:7.1f} MB a stream, ready {row.ready_s:5.2f} s, "
                f"found {row.found}",
                flush=True,
            )
            torch.cuda.empty_cache()
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

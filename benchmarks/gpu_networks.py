"""Networks alone on a GPU: frames per second, latency, error against float32, and each step against its floor.

    POSEMASK_WEIGHTS=weights python benchmarks/gpu_networks.py [--networks NAME ...] [--batches 1 64 512]
        [--precise] [--profile BATCH ...] [--steps] [--pictures FILE] [--json FILE]

Times are medians of CUDA events around replays of a captured graph, random inputs. `floor` is the time to read every
step's inputs and write its output once at the measured copy rate; `share` = floor / measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posemask.gpu import reference
from posemask.gpu.bench import median_ms, synchronised_ms
from posemask.gpu.network import CudaNetwork, load
from posemask.gpu.plan import Plan, inputs_of
from posemask.networks.read_tflite import read_tflite

NETWORKS = (
    "pose_landmark_full",
    "pose_landmark_lite",
    "pose_landmark_heavy",
    "pose_detection",
    "selfie_segmentation_landscape",
    "selfie_segmentation",
)


def copy_rate() -> float:
    """Bytes a second, read plus written, of a large copy on the device."""
    a = torch.empty(1 << 30, dtype=torch.uint8, device="cuda").random_(0, 255)
    b = torch.empty_like(a)
    return 2 * a.numel() / (median_ms(lambda: b.copy_(a), 10) / 1e3)


def product_rate() -> float:
    """Half-precision operations a second of a large matrix product, random data."""
    a, b = (torch.randn(8192, 8192, dtype=torch.float16, device="cuda") for _ in range(2))
    return float(2 * 8192**3 / (median_ms(lambda: a @ b, 10) / 1e3))


def step_bytes(plan: Plan, index: int, *, precise: bool = False) -> int:
    """Bytes that a step reads and writes for one picture, weights aside."""
    step = plan.steps[index]
    channels = {plan.input: 3 if precise else 4}
    sizes = [
        int(np.prod(plan.shapes[n][:2])) * channels.get(n, plan.shapes[n][-1])
        if n in channels
        else int(np.prod(plan.shapes[n]))
        for n in inputs_of(step)
    ]
    return (4 if precise else 2) * (sum(sizes) + int(np.prod(plan.shapes[step.output])))


def as_input(network: CudaNetwork, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (N, H, W, 3) float32 as the network takes them."""
    if network.input_shape[2] == 4:
        pictures = torch.cat([pictures, torch.zeros_like(pictures[..., :1])], -1)
    return pictures.to(network.input_dtype).contiguous()


def errors(network: CudaNetwork, pictures: torch.Tensor) -> list[str]:
    """Of each output: largest and mean difference from float32, and for maps the IoU of the positive pixels."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    exact = reference.run(network.plan, pictures)
    lines = []
    for a, b in zip(network(as_input(network, pictures)), exact, strict=True):
        difference = (a.float() - b).abs()
        line = f"{tuple(b.shape[1:])} max {difference.max():.4g} mean {difference.mean():.4g} of {b.abs().max():.4g}"
        if b.ndim == 4:
            level = 0.5 if float(b.min()) >= 0 and float(b.max()) <= 1 else 0.0
            p, q = a.float() > level, b > level
            line += f" IoU {((p & q).sum() / (p | q).sum().clamp(min=1)):.5f}"
        if b.shape[1:] == (195,):
            xy = difference.reshape(-1, 39, 5)[:, :33, :2].norm(dim=-1)
            line += f" landmarks max {xy.max():.4f} px mean {xy.mean():.4f} px"
        if not torch.isfinite(a).all():
            line += " NOT FINITE"
        lines.append(line)
    return lines


def profile(network: CudaNetwork, batch: int) -> None:
    """Each kernel's own time on the device at a batch, longest first."""
    image = torch.rand((batch, *network.input_shape), device="cuda").to(network.input_dtype)
    with torch.inference_mode():
        for _ in range(3):
            network(image)
        torch.cuda.synchronize()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            for _ in range(5):
                network(image)
            torch.cuda.synchronize()
    events = [e for e in seen.events() if e.device_type == torch.autograd.DeviceType.CUDA and e.device_time > 0]
    events.sort(key=lambda e: e.time_range.start)
    count = len(events) // 5
    totals = [statistics.median(events[i + r * count].device_time for r in range(5)) for i in range(count)]
    print(f"    batch {batch}: {count} kernels, {sum(totals):.1f} us in all")
    names = [s for s in network.plan.steps if not (hasattr(s, "op") and s.op == "reshape")]
    for i in sorted(range(count), key=lambda i: -totals[i])[:30]:
        step = names[i] if count == len(names) else None
        shapes = (
            f"{network.plan.shapes.get(getattr(step, 'input', ''), '')} -> {network.plan.shapes[step.output]}"
            if step
            else ""
        )
        print(f"      {totals[i]:7.2f} us  {events[i].name[:24]:24s} {shapes}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batches", nargs="*", type=int, default=(1, 64, 512))
    parser.add_argument("--precise", action="store_true", help="with the errors of float32")
    parser.add_argument("--steps", action="store_true", help="time each step at the largest batch")
    parser.add_argument(
        "--pictures", type=Path, help=".npz with one uint8 (N, H, W, 3) array a network, for the errors"
    )
    parser.add_argument(
        "--profile", nargs="*", type=int, default=(), help="batches at which to list the kernels' times"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(os.environ["POSEMASK_WEIGHTS"])
    rate, flops = copy_rate(), product_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"copy {rate / 1e12:.2f} TB/s, fp16 product {flops / 1e12:.0f} TFLOP/s")
    results: dict[str, Any] = {"device": torch.cuda.get_device_name(), "copy": rate, "product": flops}
    pictures = np.load(options.pictures) if options.pictures else {}
    for name in options.networks:
        begin = time.perf_counter()
        network = load(read_tflite(folder / f"{name}.tflite"), precise=options.precise)
        torch.cuda.synchronize()
        ready = time.perf_counter() - begin
        shape = network.input_shape
        given = (
            torch.from_numpy(pictures[name]).cuda().float() / 255
            if name in pictures
            else torch.rand((4, *shape[:2], 3), device="cuda")
        )
        print(f"\n{name}: ready after {ready:.2f} s, {len(network.plan.steps)} steps")
        for line in errors(network, given):
            print("   ", line)
        steps_bytes = (step_bytes(network.plan, i, precise=options.precise) for i in range(len(network.plan.steps)))
        floor = sum(steps_bytes) / rate
        row: dict[str, Any] = {"ready_s": ready, "bytes": floor * rate}
        graph = read_tflite(folder / f"{name}.tflite")
        for batch in options.batches:
            tuned = load(graph, batch=batch, precise=options.precise)
            replay = tuned.capture(batch)
            replay.input.copy_(torch.rand(replay.input.shape, device="cuda"))
            ms, waited = median_ms(replay.replay, 30), synchronised_ms(replay.replay)
            row[str(batch)] = {"ms": ms, "synchronised_ms": waited}
            share = floor * batch / ms * 1e3
            print(
                f"    batch {batch:4d}: {ms:8.4f} ms  {batch / ms * 1e3:9.0f} frames/s  "
                f"share of the fused floor {share:.1%}; waiting after each {waited:.4f} ms"
            )
            if batch in options.profile:
                profile(tuned, batch)
            del replay
        results[name] = row
        if options.steps:
            steps(load(graph, batch=max(options.batches), precise=options.precise), max(options.batches), rate)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def steps(network: CudaNetwork, batch: int, rate: float) -> None:
    image = torch.rand((batch, *network.input_shape), device="cuda").to(network.input_dtype)
    values = {network.plan.input: image}
    rows, shapes = [], network.plan.shapes
    with torch.inference_mode():
        for i, (output, run, _) in enumerate(network._runs):
            values[output] = run(values)
            ms = median_ms(lambda run=run: run(values), 5, 4)
            step = network.plan.steps[i]
            floor = step_bytes(network.plan, i, precise=network.input_dtype == torch.float32) * batch / rate * 1e3
            source = getattr(step, "input", "")
            rows.append(
                (
                    ms,
                    floor,
                    f"{i:3d} {type(step).__name__:9s} {shapes.get(source, '')} -> {shapes[output]}",
                )
            )
    total = sum(row[0] for row in rows)
    print(f"    steps at batch {batch}: {total:.2f} ms in all")
    for ms, floor, what in sorted(rows, reverse=True)[:24]:
        print(f"      {ms:8.4f} ms  {ms / total:6.1%}  floor {floor:7.4f}  {what}")


if __name__ == "__main__":
    main()

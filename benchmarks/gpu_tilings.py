"""How good the choice of tiles is: every block of a network with several tilings, timed, against the model's first.

POSEMASK_WEIGHTS=weights python benchmarks/gpu_tilings.py --network pose_detection --batch 512 [--precise]
    [--candidates 12] [--write measured.json]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch

from posemask.gpu import launches, tiling
from posemask.gpu.bench import median_ms
from posemask.gpu.compiler import CudaKernels
from posemask.gpu.network import _launcher
from posemask.gpu.plan import Block, plan
from posemask.networks.read_tflite import read_tflite


def candidates(shape: tiling.BlockShape, batch: int, count: int) -> Iterator[tiling.Tiling]:
    """What is chosen now, then the best by estimate, of the best also with other strips."""
    chosen = tiling.best_tiling(shape, batch=batch, clusters=True)
    assert chosen is not None
    yield chosen
    seen = {tuple(tiling.as_row(chosen))}
    ranked = sorted(tiling.tilings(shape, batch=batch, clusters=True), key=lambda t: t.cycles)
    for place, one in enumerate([chosen, *ranked]):
        strips = [r for r in tiling.STRIPS if one.th % r == 0] if place <= count // 4 else [one.strip]
        for strip in strips:
            row = [*tiling.as_row(one)[:-1], strip]
            other = tiling.tiling_of(shape, row, batch)
            if other and tuple(row) not in seen and len(seen) < count:
                seen.add(tuple(row))
                yield other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="pose_detection")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--precise", action="store_true")
    parser.add_argument("--write", type=Path, help="add what was best to this file of measured tilings")
    options = parser.parse_args()
    place, batch = CudaKernels(), options.batch
    fused = plan(read_tflite(Path(os.environ["POSEMASK_WEIGHTS"]) / f"{options.network}.tflite"))
    chosen_ms = best_ms = 0.0
    measured: dict[str, tuple[float, float]] = {}
    found: dict[str, list[int]] = {}
    for index, step in enumerate(fused.steps):
        if not isinstance(step, Block):
            continue
        with mock.patch.object(launches, "best_tiling") as asked:
            asked.return_value = None
            launches.launch_of(step, fused.shapes, batch=batch, precise=options.precise)
        shape = asked.call_args.args[0]
        key = repr((shape, step.residual, step.depthwise.activation))
        if key not in measured:
            made, tried = [], list(candidates(shape, batch, options.candidates))
            for one in tried:
                with mock.patch.object(launches, "best_tiling", lambda *a, one=one, **k: one):
                    made.append(launches.launch_of(step, fused.shapes, batch=batch, precise=options.precise))
            kernels = place.load([(m.name, m.constants, m.shared_bytes) for m in made if m])
            height, width, channels = fused.shapes[step.input]
            x = torch.randn((batch, height, width, 4 if channels == 3 else channels), device="cuda").half()
            if options.precise:
                x = x[..., :channels].float().contiguous()
            times = []
            for launch, kernel in zip(made, kernels, strict=True):
                assert launch is not None
                run = _launcher(launch, kernel, fused.shapes[step.output], place.device)
                graph = torch.cuda.CUDAGraph()
                with torch.inference_mode():
                    run({step.input: x})
                    torch.cuda.synchronize()
                    with torch.cuda.graph(graph):
                        for _ in range(4):
                            run({step.input: x})
                times.append(median_ms(graph.replay, 5) / 4)
            order = sorted(range(len(tried)), key=lambda i: times[i])
            measured[key] = times[0], times[order[0]]
            found[tiling.measured_key(shape, batch)] = tiling.as_row(tried[order[0]])
            sizes = f"{fused.shapes[step.input]} -> {fused.shapes[step.output]}"
            print(f"{index:3d} {sizes}: first {times[0] * 1e3:.1f} us, best {times[order[0]] * 1e3:.1f}")
            for i in sorted({0, *order[:3]}):
                t = tried[i]
                print(
                    f"      {times[i] * 1e3:8.1f} us, estimate {t.cycles / 1755:8.1f}: "
                    f"{t.th} x {t.tw} x {t.frames}, chunk {t.chunk}, split {t.split}, warps {t.warps} / {t.warps_n}, "
                    f"strip {t.strip}, {t.shared_bytes >> 10} KB, {t.per_processor} together"
                )
        chosen_ms, best_ms = chosen_ms + measured[key][0], best_ms + measured[key][1]
    if options.write:
        known = json.loads(options.write.read_text()) if options.write.exists() else {}
        options.write.write_text(
            json.dumps(dict(sorted({**known, **found}.items())), indent=0).replace(",\n", ", ").replace('], "', '],\n"')
        )
    print(f"{options.network}, batch {batch}: blocks {chosen_ms:.3f} ms as chosen, {best_ms:.3f} ms at best")


if __name__ == "__main__":
    main()

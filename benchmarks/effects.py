"""Milliseconds of each effect on a finished mask at 1280 x 720, one core: ``python benchmarks/effects.py [PHOTO]``.

The mask is Selfie Segmentation's for scikit-image's astronaut (or the photograph given), so its edge and the person's
box are real. Every effect runs in short blocks that alternate with the others'. All but the first three lines include
enlarging the mask. "CPU" is the time that the processor spent on the call, without what other programs took of it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from posemask import create_detector, create_segmenter, effects
from posemask.bench.frames import clip
from posemask.pixels import native

ROUNDS, BLOCK = 12, 5


def main(photo: Path | None) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    image = clip(photo, 1)[0]
    background = np.ascontiguousarray(image[::-1])
    (people,) = create_segmenter("selfie_segmentation", model_type="landscape", threads=1).segment_people(image)
    poses = create_detector("blazepose", threads=1).estimate_poses(image)
    work: dict[str, Callable[[], object]] = {
        "copy of the picture": image.copy,
        "mask enlarged to float": lambda: np.asarray(people.mask),
        "Gaussian, 12 px": lambda: native.blur(image, 12),
        "blur_background": lambda: effects.blur_background(image, people),
        "draw_bokeh_effect": lambda: effects.draw_bokeh_effect(image, people),
        "draw_bokeh_effect, 10 px": lambda: effects.draw_bokeh_effect(image, people, background_blur_amount=10),
        "replace_background": lambda: effects.replace_background(image, people, background),
        "replace_background, edges as they are": lambda: effects.replace_background(
            image, people, background, clean_edges=False
        ),
        "cut_out": lambda: effects.cut_out(image, people),
        "cut_out, edges as they are": lambda: effects.cut_out(image, people, clean_edges=False),
        "draw_skeleton": lambda: effects.draw_skeleton(image, poses),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for run in work.values():
        run()
    for _ in range(ROUNDS):
        for name, run in work.items():
            for _ in range(BLOCK):
                start, cpu_start = time.perf_counter(), time.thread_time()
                run()
                times[name].append(((time.perf_counter() - start) * 1e3, (time.thread_time() - cpu_start) * 1e3))
    print(f"{'effect':<40}{'best tenth':>12}{'median':>10}{'CPU':>8}  ms")
    for name, values in times.items():
        wall, cpu = np.array(values).T
        print(f"{name:<40}{np.percentile(wall, 10):>12.2f}{np.median(wall):>10.2f}{np.median(cpu):>8.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)

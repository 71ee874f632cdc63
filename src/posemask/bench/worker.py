"""The process that one subject lives in: ``python -m posemask.bench.worker``.

It reads one JSON value a line and answers each with one. The first says what to do; then each ``{"frames": n}`` runs n
frames, and the end of the input ends it. While it waits it uses no time. What libraries print goes to the standard
error stream, so that only answers come out of the other.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from .frames import endless
from .work import Work, work_from

__all__ = ["main"]


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        _serve(sys.stdin, answers)
    except Exception as error:
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)


def _serve(requests: TextIO, answers: TextIO) -> None:
    order = json.loads(requests.readline())
    if order["cpus"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["cpus"])  # before any library asks how many processors there are
    from .subjects import make

    work = work_from(order["work"])
    clip = np.load(order["clip"])
    step = make(order["subject"], work)
    source = _decoded(Path(order["input"])) if work.decode else endless(clip)
    step(*next(source))
    _answer(answers, {"ready": True})
    for request in requests:
        answer = _run(step, source, json.loads(request)["frames"], work)
        _answer(answers, answer | {"peak_mb": (_peak_bytes() - clip.nbytes) / 1e6})


def _run(step: Any, source: Iterator[tuple[npt.NDArray[np.uint8], float]], frames: int, work: Work) -> dict[str, Any]:
    """Run some frames: milliseconds of each, processor time and time of all."""
    milliseconds, found = [], 0
    cpu_start, start = time.process_time(), time.perf_counter()
    for _ in range(frames):
        before = time.perf_counter() if work.decode else 0.0
        frame, at = next(source)
        if not work.decode:
            before = time.perf_counter()
        found += step(frame, at)
        milliseconds.append((time.perf_counter() - before) * 1e3)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    return {"milliseconds": milliseconds, "wall_s": wall, "cpu_s": cpu, "found": found}


def _decoded(path: Path) -> Iterator[tuple[npt.NDArray[np.uint8], float]]:
    """The frames of a video as they are decoded, again and again, with times that go on."""
    from ..media import read_video

    offset = 0.0
    while True:
        last = 0.0
        for frame in read_video(path):
            last = frame.time
            yield frame.image, offset + last
        offset += last + 1.0


def _peak_bytes() -> int:
    """The most memory that this process has had; without its parent's, which getrusage counts too on Linux."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _answer(answers: TextIO, value: dict[str, Any]) -> None:
    print(json.dumps(value), file=answers, flush=True)


if __name__ == "__main__":
    main()

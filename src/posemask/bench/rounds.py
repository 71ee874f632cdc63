"""Blocks in alternation: starts the workers of a row, lets them run in turn, and makes figures of what they report."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import PosemaskError
from .work import Work

__all__ = ["Figures", "measure"]

_WARM_UP_FRAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of one subject at one work.

    Attributes:
        subject: who did the work.
        work: what it was.
        median_ms: of a frame; the median over the rounds of each round's median.
        p95_ms: of all frames.
        best_ms: the fastest tenth of all frames is faster than this; the least disturbed figure.
        fps: frames a second, of all processes together; the median over the rounds.
        cpu_ms: processor time of a frame, all threads; the median over the rounds.
        peak_mb: most memory of one process, without the frames; 0 where the system does not tell.
        found: share of the frames in which somebody was found.
        rounds, frames: how many rounds, and frames in each of them and in each process.
        round_ms: each round's median.
    """

    subject: str
    work: Work
    median_ms: float
    p95_ms: float
    best_ms: float
    fps: float
    cpu_ms: float
    peak_mb: float
    found: float
    rounds: int
    frames: int
    round_ms: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    work: Work,
    subjects: Sequence[str],
    clip: Path,
    *,
    video: Path | None = None,
    rounds: int = 3,
    seconds: float = 2.0,
) -> list[Figures]:
    """Measure one work with every subject, in alternation.

    Args:
        work: what they do.
        subjects: who does it, in the order of their turns.
        clip: a ``.npy`` file of frames, (N, H, W, 3) uint8.
        video: the file to decode, for works with decoding.
        rounds: how often each has its turn.
        seconds: about how long a turn of the slowest is.

    Raises:
        PosemaskError: a worker failed, with its own words.
    """
    with contextlib.ExitStack() as stack:
        teams = [
            [
                stack.enter_context(_worker(subject, work, clip, video, _cpus_of(work, process)))
                for process in range(work.processes)
            ]
            for subject in subjects
        ]
        for team in teams:
            for worker in team:
                worker.receive()
        slowest = max(_fastest_ms(_run(team, _WARM_UP_FRAMES)) for team in teams)
        frames = max(4, round(seconds * 1e3 / slowest))
        reports: list[list[list[dict[str, Any]]]] = [[] for _ in teams]
        for _ in range(rounds):
            for team, turns in zip(teams, reports, strict=True):
                turns.append(_run(team, frames))
    return [_figures(subject, work, turns, frames) for subject, turns in zip(subjects, reports, strict=True)]


def _figures(subject: str, work: Work, turns: list[list[dict[str, Any]]], frames: int) -> Figures:
    times = [np.array([report["milliseconds"] for report in turn]) for turn in turns]
    round_ms = tuple(float(np.median(turn)) for turn in times)
    reports = [report for turn in turns for report in turn]
    return Figures(
        subject=subject,
        work=work,
        median_ms=statistics.median(round_ms),
        p95_ms=float(np.percentile(times, 95)),
        best_ms=float(np.percentile(times, 10)),
        fps=statistics.median(sum(frames / report["wall_s"] for report in turn) for turn in turns),
        cpu_ms=statistics.median(
            sum(report["cpu_s"] for report in turn) / (frames * len(turn)) * 1e3 for turn in turns
        ),
        peak_mb=max(report["peak_mb"] for report in reports),
        found=sum(report["found"] for report in reports) / (frames * len(reports)),
        rounds=len(turns),
        frames=frames,
        round_ms=round_ms,
    )


def _fastest_ms(turn: list[dict[str, Any]]) -> float:
    return min(float(np.median(report["milliseconds"])) for report in turn)


def _run(team: Sequence[_Worker], frames: int) -> list[dict[str, Any]]:
    """Let the workers of one subject run at the same time; the others wait."""
    for worker in team:
        worker.send({"frames": frames})
    return [worker.receive() for worker in team]


def _cpus_of(work: Work, process: int) -> list[int]:
    """The processor cores for one of the processes of a work; empty, for any, where there are not enough of them."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(usable) < work.processes * work.cores:
        return []
    return usable[process * work.cores : (process + 1) * work.cores]


class _Worker:
    """A worker's process and the two ends of the talk with it."""

    def __init__(self, process: subprocess.Popen[str], subject: str, log: IO[str]) -> None:
        self._process = process
        self._subject = subject
        self._log = log

    def send(self, value: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            print(json.dumps(value), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._fail("")

    def receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": ""}
        if "error" in answer:
            self._fail(answer["error"])
        return answer

    def _fail(self, reason: str) -> None:
        self._process.kill()
        status = self._process.wait()
        self._log.seek(0)
        last = " ".join(self._log.read().strip().splitlines()[-1:])
        raise PosemaskError(f"the measurement of {self._subject} failed: {reason or f'status {status} {last}'}")


@contextlib.contextmanager
def _worker(subject: str, work: Work, clip: Path, video: Path | None, cpus: list[int]) -> Iterator[_Worker]:
    order = {
        "subject": subject,
        "work": work.to_dict(),
        "clip": str(clip),
        "input": None if video is None else str(video),
        "cpus": cpus,
    }
    command = [sys.executable, "-m", "posemask.bench.worker"]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
        ) as process,
    ):
        try:
            worker = _Worker(process, subject, log)
            worker.send(order)
            yield worker
        finally:
            process.kill()

"""What ``mask``, ``blur``, ``replace`` and ``cutout`` share: find the people in a picture, make another picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from . import options
from .files import Destination, find_sources
from .processing import Job, PictureOutput, Result, Settings, process

if TYPE_CHECKING:
    from ..results import Segmentation

__all__ = ["Draw", "run"]

Draw = Callable[[Any, Sequence["Segmentation"], float | None], npt.NDArray[Any]]
"""A picture (H, W, 3) uint8 RGB, the people in it and its time in seconds, or None -> another picture."""


def run(
    inputs: Sequence[str],
    output: str | None,
    draw: Draw,
    *,
    model: options.PeopleType,
    parts: bool = False,
    max_poses: int,
    search: options.SearchType,
    no_smooth: bool,
    runtime: str,
    device: str,
    threads: int | None,
    frames: bool,
    settings: Settings,
    picture_suffix: str | None = None,
    video_suffix: str | None = None,
    alpha: bool = False,
) -> int:
    """Draw every input, and write the drawings. Returns the exit status.

    Args:
        draw: what to make of a picture and the people in it.
        parts: whether `draw` needs the parts of their bodies.
        picture_suffix, video_suffix: of the files that are not named; None keeps the input's.
        alpha: whether `draw` gives alpha.
        others: as the user said.
    """
    sources = find_sources(inputs)
    destination = Destination(output, len(sources) > 1, picture_suffix, "" if frames else video_suffix)

    def load(threads: int | None) -> Job:
        find, reset = options.people_finder(
            model,
            max_poses=max_poses,
            search=search,
            smooth=not no_smooth,
            parts=parts,
            runtime=runtime,
            device=device,
            threads=threads,
        )
        return Job(work=lambda image, time: Result(picture=draw(image, find(image, time), time)), reset=reset)

    workers = options.workers(runtime, device, threads)
    return process(sources, load, [PictureOutput(destination, alpha)], settings, threads=threads, workers=workers)

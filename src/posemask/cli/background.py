"""What ``posemask replace`` puts behind people: a colour, a picture, or a video that runs along and around."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..media import is_video, read_image, read_video
from ..results import Frame

__all__ = ["Behind", "open_background"]

Behind = Callable[[tuple[int, int], float | None], Any]
"""Height and width of a picture and its time in seconds, or None -> a picture (H, W, 3) uint8, or a colour."""


@contextmanager
def open_background(name: str) -> Iterator[Behind]:
    """What a file or a colour is as a background. `InputError` if it is neither."""
    if not name or not os.path.exists(name):
        color = _color(name)
        yield lambda size_hw, time: color
    elif os.path.isdir(name):
        raise InputError(f"--background must be a picture, a video or a colour, {name} is a folder")
    elif is_video(name):
        moving = _Moving(Path(name))
        try:
            yield _one_at_a_time(moving)
        finally:
            moving.close()
    else:
        yield _one_at_a_time(_Still(read_image(name)))


def _one_at_a_time(behind: Behind) -> Behind:
    """The same for several threads: a background remembers what it showed last."""
    lock = threading.Lock()

    def locked(size_hw: tuple[int, int], time: float | None) -> Any:
        with lock:
            return behind(size_hw, time)

    return locked


class _Still:
    """A picture; fitted once for each size."""

    def __init__(self, image: npt.NDArray[np.uint8]) -> None:
        self._image = image
        self._fitted = image

    def __call__(self, size_hw: tuple[int, int], time: float | None) -> npt.NDArray[np.uint8]:
        from ..effects import fit_background

        if self._fitted.shape[:2] != tuple(size_hw):
            self._fitted = fit_background(self._image, size_hw)
        return self._fitted


class _Moving:
    """A video that begins with the one before it, in real time, and again and again when it has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = _again_and_again(path)
        self._began = self._asked = 0.0
        self._shown = self._next = next(self._frames)

    def __call__(self, size_hw: tuple[int, int], time: float | None) -> npt.NDArray[np.uint8]:
        time = 0.0 if time is None else time
        if time < self._asked or self._next is self._shown:  # another video has begun, or the first
            self.close()
            self._frames = _again_and_again(self._path)
            self._began = time
            self._shown, self._next = next(self._frames), next(self._frames)
        self._asked = time
        while self._next.time <= time - self._began:
            self._shown, self._next = self._next, next(self._frames)
        image: npt.NDArray[np.uint8] = self._shown.image
        return image

    def close(self) -> None:
        """Close the file."""
        self._frames.close()


def _again_and_again(path: Path) -> Generator[Frame, None, None]:
    """The frames of a video, without end; times go on from one round to the next."""
    began, last, interval = 0.0, 0.0, 1 / 30
    while True:
        with read_video(path) as video:
            for frame in video:
                interval, last = (frame.time - last) or interval, frame.time
                yield replace(frame, time=began + frame.time)
        began, last = began + last + interval, 0.0


def _color(name: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError:
        raise InputError(f"--background must be a file or a colour such as green or #00ff80, got {name!r}") from None

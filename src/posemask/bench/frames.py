"""The frames that every subject sees: a short clip, run forwards and backwards so that nobody jumps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError, PosemaskError
from ..media import read_image, read_video
from ..pixels import native as pixels

__all__ = ["FRAMES", "FRAME_RATE", "SIZE_HW", "clip", "endless"]

Picture = npt.NDArray[np.uint8]
Clip = npt.NDArray[np.uint8]

SIZE_HW = (720, 1280)
FRAMES = 40  # more than any cache holds, 110 MB
FRAME_RATE = 30.0


def clip(source: Path | None, count: int, size_hw: tuple[int, int] = SIZE_HW) -> Clip:
    """(N, H, W, 3) uint8 RGB: the first `count` frames of a video, or a camera's slow pan over a picture.

    Frames of another size are scaled until they fit and lie in the middle of black ones. Without a source the picture
    is scikit-image's astronaut.
    """
    if source is None:
        return _panned(_astronaut(), count, size_hw)
    try:
        frames = [_fitted(frame.image, size_hw) for frame in itertools.islice(read_video(source), count)]
    except PosemaskError:
        return _panned(read_image(source), count, size_hw)
    if not frames:
        raise InputError(f"{source} has no frames to measure with")
    return np.stack(frames)


def endless(frames: Clip) -> Iterator[tuple[Picture, float]]:
    """Frames and their times in seconds, first to last and back again, for ever."""
    there_and_back = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    for index, frame in enumerate(itertools.cycle(there_and_back)):
        yield frames[frame], index / FRAME_RATE


def _astronaut() -> Picture:
    try:
        from skimage.data import astronaut
    except ImportError:
        raise InputError(
            "there is nothing to measure with: give a video or a picture with --input, or pip install posemask[demo] "
            "for scikit-image's photograph"
        ) from None
    return np.ascontiguousarray(astronaut())


def _fitted(image: Picture, size_hw: tuple[int, int]) -> Picture:
    if image.shape[:2] == size_hw:
        return image
    scale = min(size_hw[0] / image.shape[0], size_hw[1] / image.shape[1])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    scaled = pixels.resize(image, (height, width), method="linear" if scale > 1 else "area")
    frame = np.zeros((*size_hw, 3), dtype=np.uint8)
    top, left = (size_hw[0] - height) // 2, (size_hw[1] - width) // 2
    frame[top : top + height, left : left + width] = scaled
    return frame


def _panned(image: Picture, count: int, size_hw: tuple[int, int]) -> Clip:
    """The fitted picture, moved by up to a sixteenth of its size along a slow ellipse."""
    fitted = _fitted(image, size_hw)
    frames = np.empty((count, *fitted.shape), dtype=np.uint8)
    for index, angle in enumerate(np.linspace(0, np.pi, count)):
        shift_x, shift_y = size_hw[1] / 16 * np.cos(angle), -size_hw[0] / 16 * np.sin(angle)
        pixels.crop(fitted, [[1, 0, shift_x], [0, 1, shift_y]], size_hw, out=frames[index])
    return frames

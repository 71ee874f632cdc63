"""Animated pictures (GIF, WebP, APNG, AVIF) through Pillow, as a source of pictures for `posemask.media.video.Video`.

FFmpeg does not read animated WebP, and Pillow applies the same rules to an animation's colours as to a picture's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import ImageError, VideoError
from .container import ColorTags
from .orientation import Orientation
from .pictures import open_picture, pixels_of

__all__ = ["AnimationSource", "is_animation"]

_FORMATS = frozenset({"GIF", "WEBP", "PNG", "AVIF"})  # others hold pages or views, which do not follow in time
_UNSAID_MS = 100  # what browsers take for the times of 0 and 10 ms that careless GIFs carry


def is_animation(image: Image.Image) -> bool:
    """Whether an opened picture file shows more than one picture, one after another."""
    return image.format in _FORMATS and bool(getattr(image, "is_animated", False))


class AnimationSource:
    """An animation. Its attributes are those of `posemask.media.container.ContainerSource`."""

    fps: float | None = None  # every picture has its own time; the file says no rate
    duration: float | None = None
    has_audio = False
    pixel_aspect = None
    damaged = 0

    def __init__(self, file: str | IO[bytes], name: str, *, max_pixels: int) -> None:
        self._name = name
        self._open = ExitStack()
        try:
            self._image = self._open.enter_context(open_picture(file, max_pixels=max_pixels))
        except ImageError as error:
            raise VideoError(str(error)) from error
        if not is_animation(self._image):
            self._open.close()
            raise VideoError(f"{name} is a single picture; read_image reads it")
        self.frame_count: int | None = int(getattr(self._image, "n_frames", 0))

    def pictures(self, start: float = 0.0) -> Iterator[tuple[float | None, Image.Image]]:
        """Times in seconds and the pictures, all of them; each is valid until the next is asked for."""
        time_ms = 0.0
        for index in range(self.frame_count or 0):
            try:
                self._image.seek(index)
                self._image.load()
            except Exception:  # Pillow's plugins raise nearly anything over damaged data: the rest cannot be read
                self.damaged += 1
                return
            yield time_ms / 1000.0, self._image
            duration = float(self._image.info.get("duration", 0))
            time_ms += duration if duration > 10 else _UNSAID_MS

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, upright, C-contiguous."""
        return pixels_of(image)

    def orientation(self, image: Any) -> Orientation:
        """Animations are stored upright, or their pixels are turned with the rest of the picture's metadata."""
        return Orientation()

    def color_tags(self, image: Any) -> ColorTags | None:
        """Pictures are sRGB: nothing that a video could repeat."""
        return None

    def close(self) -> None:
        """Close the file."""
        self._open.close()

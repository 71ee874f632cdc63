"""Reading videos: a `Video` gives upright RGB frames with their true times, one after another, in constant memory."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..errors import ImageError, InputError, VideoError
from ..results import Frame
from .animation import AnimationSource, is_animation
from .container import ColorTags, ContainerSource, open_container
from .pictures import MAX_PIXELS, open_picture
from .timeline import Timeline

__all__ = ["PICTURE_INPUTS", "VIDEO_INPUTS", "Video", "is_video", "read_video"]

VIDEO_INPUTS = frozenset(
    {".3g2", ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv",
     ".ts", ".vob", ".webm", ".wmv"}
)  # fmt: skip
PICTURE_INPUTS = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm",
     ".psd", ".qoi", ".tga", ".tif", ".tiff", ".webp"}
)  # fmt: skip
"""Suffixes of files that are likely to be read as videos, and as pictures."""

_LIKELY_RATE = 30.0  # frames per second where a file does not say


def read_video(
    source: str | os.PathLike[str] | bytes | IO[bytes],
    *,
    start: float = 0.0,
    end: float | None = None,
    every: int = 1,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Video:
    """Open a video for reading.

        with posemask.read_video("dance.mp4") as video:
            for frame in video:
                poses = detector.estimate_poses(frame)

    Frames come as the video shows them: upright (rotation metadata applied), with the time at which each is shown,
    however irregular. Times are in seconds from the start of the file (of its first picture or sound), and each is
    later than the one before: what `posemask.media.timeline` says about broken clocks. Damaged packets are skipped
    and counted in `Video.damaged`. Interlaced video stays interlaced, alpha is dropped, more than 8 bits are rounded.
    Animated GIF, WebP, PNG and AVIF pictures are videos, too.

    Args:
        source: a path, the bytes of a file, or a binary file object (a pipe will do for most formats).
        start: seconds; frames before it are left out. The file is searched, not decoded from its beginning.
        end: seconds; frames from there on are left out. None: to the end.
        every: give only every n-th frame.
        threads: for decoding; None lets FFmpeg choose (one per processor).
        max_pixels: a video with larger pictures is refused.

    Raises:
        VideoError: there is no such file, or nothing in it can be shown.
        InputError: `start`, `end` or `every` make no sense.
    """
    if not (math.isfinite(start) and start >= 0.0):
        raise InputError(f"start is a time in seconds, 0 or later, got {start}")
    if end is not None and not end > start:
        raise InputError(f"end is a time in seconds later than start ({start}), got {end}")
    if not isinstance(every, int) or every < 1:
        raise InputError(f"every is the number of frames from one that is read to the next, 1 or more, got {every}")
    file, path, name = _resolve(source)
    if _starts_like_a_picture(file):
        opened: ContainerSource | AnimationSource = AnimationSource(file, name, max_pixels=max_pixels)
    else:
        opened = ContainerSource(open_container(file, name), name, threads=threads, max_pixels=max_pixels)
    try:
        return Video(opened, name=name, path=path, start=start, end=end, every=every)
    except BaseException:
        opened.close()
        raise


class Video:
    """An open video, made by `read_video`: an iterator over its frames, once through, like an open file over lines.

    Attributes:
        name: where it comes from, for messages.
        path: the file, if it is one.
        size_hw: height and width of its first picture, upright.
        rotation: degrees (0, 90, 180, 270), clockwise, by which the stored pictures are turned upright.
        fps: average frames per second, as the file says; None if it does not.
        duration: seconds from `start` to `end`, as the file says; None if it does not.
        frame_count: how many frames to expect: the file's own count or duration times rate, less what `start`, `end`
            and `every` leave out. An estimate, for progress bars; None if the file does not say.
        has_audio: whether there is sound.
        start, end: seconds, what was asked for; end is None for the end of the video.
        pixel_aspect: width of a pixel over its height; None if the file does not say. Frames are not stretched.
        color_tags: what the file says about its colours; None for animations.
    """

    def __init__(
        self,
        source: ContainerSource | AnimationSource,
        *,
        name: str,
        path: Path | None,
        start: float,
        end: float | None,
        every: int,
    ) -> None:
        self.name = name
        self.path = path
        self.start = start
        self.end = end
        self.fps = source.fps
        self.has_audio = source.has_audio
        self.duration = _cut(source.duration, start, end)
        self.frame_count = _expected_frames(source, self.duration, every)
        self._source = source
        # The first picture is decoded here and now: whoever holds a Video knows its size, and that it can be shown.
        self._chosen = self._choose(every)
        self._first = next(self._chosen, None)
        if self._first is None:
            raise VideoError(self._why_nothing())
        picture = self._first[2]
        orientation = source.orientation(picture)
        self.size_hw = orientation.upright_hw((picture.height, picture.width))
        self.rotation = orientation.degrees
        aspect = source.pixel_aspect
        self.pixel_aspect: Fraction | None = 1 / aspect if aspect and orientation.transpose else aspect
        self.color_tags: ColorTags | None = source.color_tags(picture)

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded so far; they were skipped."""
        return self._source.damaged

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        index, time, picture = self._first or next(self._chosen)
        self._first = None
        return Frame(image=self._source.pixels(picture), time=time, index=index)

    def close(self) -> None:
        """Close the file; iteration ends."""
        self._first = None
        self._chosen.close()
        self._source.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _choose(self, every: int) -> Generator[tuple[int, float, Any], None, None]:
        """Index, time and undeveloped picture of the frames that were asked for."""
        timeline = Timeline(1.0 / (self.fps or _LIKELY_RATE))
        index = 0
        for timestamp, picture in self._source.pictures(self.start):
            time = timeline.time_of(timestamp)
            if time < self.start:
                continue
            if self.end is not None and time >= self.end:
                return
            if index % every == 0:
                yield index, time, picture
            index += 1

    def _why_nothing(self) -> str:
        if self._source.damaged:
            return f"{self.name} is damaged: none of its pictures can be decoded"
        if self.start > 0:
            return f"{self.name} has no pictures from {self.start:g} s on; it lasts {self._source.duration or 0:g} s"
        return f"{self.name} has no pictures"


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a file is for `read_video` (also an animated picture) rather than for `read_image`.

    The name decides where it says it clearly; animated pictures and other names are looked into. A file that
    neither can read counts as what its name suggests, so that the reader says what is wrong with it.
    """
    suffix = Path(path).suffix.lower()
    if suffix in VIDEO_INPUTS:
        return True
    try:
        with open_picture(path, max_pixels=MAX_PIXELS) as image:
            return is_animation(image)
    except ImageError:
        return suffix not in PICTURE_INPUTS


def _resolve(source: str | os.PathLike[str] | bytes | IO[bytes]) -> tuple[str | IO[bytes], Path | None, str]:
    """What to open, the path if it is one, and what to call it."""
    if isinstance(source, bytes):
        return io.BytesIO(source), None, "the video (bytes)"
    if not isinstance(source, (str, os.PathLike)):
        if not hasattr(source, "read") or hasattr(source, "encoding"):
            raise VideoError(f"expected a path, bytes or a binary file object, got {type(source).__qualname__}")
        return source, None, f"the video ({getattr(source, 'name', type(source).__name__)})"
    path = Path(source)
    try:
        if path.is_dir():
            raise VideoError(f"{path} is a folder; expected a video file")
        if path.is_file() and path.stat().st_size == 0:
            raise VideoError(f"{path} is empty")
        path.open("rb").close()
    except VideoError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise VideoError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return str(path), path, str(path)


def _starts_like_a_picture(file: str | IO[bytes]) -> bool:
    """Whether a file starts like one of the picture formats that can be animated."""
    if isinstance(file, str):
        with open(file, "rb") as opened:
            head = opened.read(12)
    elif file.seekable():
        start = file.tell()
        head = file.read(12)
        file.seek(start)
    else:
        return False
    return (
        head.startswith((b"GIF8", b"\x89PNG"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:12] in (b"ftypavif", b"ftypavis")
    )


def _cut(duration: float | None, start: float, end: float | None) -> float | None:
    if duration is None:
        return None if end is None else end - start
    return max(0.0, (duration if end is None else min(end, duration)) - start)


def _expected_frames(source: ContainerSource | AnimationSource, duration: float | None, every: int) -> int | None:
    count = source.frame_count
    if count is None:
        return None
    if source.duration and duration is not None:
        count = round(count * duration / source.duration)
    return math.ceil(count / every)

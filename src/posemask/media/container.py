"""Video files through PyAV: packets in, upright RGB pictures and their timestamps out.

Damage is tolerated: a packet that does not decode is counted and skipped, a file that ends early ends the video.
Whoever reads decides what that means; a video of which nothing decodes is a `VideoError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import IO, Any

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.codec.context import ThreadType
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition, Stream
from av.video.reformatter import VideoReformatter

from ..errors import PosemaskError, VideoError
from .orientation import Orientation

__all__ = [
    "ColorTags",
    "ContainerSource",
    "open_container",
    "packets_of",
    "start_of",
    "time_base_of",
    "video_errors",
]

_PICTURE_FORMATS = ("image2", "_pipe")  # FFmpeg's readers of single pictures


@dataclass(frozen=True, slots=True)
class ColorTags:
    """What a video says about its colours, as FFmpeg's numbers (AVCOL_*); 2 and range 0 mean "not said"."""

    matrix: int
    range: int
    transfer: int
    primaries: int


class ContainerSource:
    """One video stream of an open container, as a source of pictures for `posemask.media.video.Video` and cameras.

    Attributes:
        fps: average frames per second; None if the file does not say.
        duration: seconds; None if the file does not say.
        frame_count: pictures in the whole file: the container's count, or duration times rate, or None.
        has_audio: whether there is sound.
        damaged: packets that could not be decoded so far.
    """

    def __init__(self, container: InputContainer, name: str, *, threads: int | None, max_pixels: int) -> None:
        """Take the best video stream of `container`, which is closed with this source, or now if it has none."""
        self._name = name
        self._container = container
        try:
            self._stream = _best_video_stream(container, name, max_pixels)
        except BaseException:
            container.close()
            raise
        context = self._stream.codec_context
        context.options["max_pixels"] = str(max_pixels)  # a stream can change its size in the middle
        context.thread_type = ThreadType.AUTO
        if threads is not None:
            context.thread_count = threads
        self._reformatter = VideoReformatter()
        self._origin = start_of(self._container, self._stream)
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else None
        self.duration = _duration(self._container, self._stream)
        self.frame_count = self._stream.frames or (
            round(self.duration * self.fps) if self.duration and self.fps else None
        )
        self.has_audio = bool(self._container.streams.audio)
        self.pixel_aspect = self._stream.sample_aspect_ratio
        self.damaged = 0

    def pictures(self, start: float = 0.0) -> Iterator[tuple[float | None, av.VideoFrame]]:
        """Timestamps, in seconds from the start or None, and the pictures that go with them, in the order shown.

        The first is shown at `start` or, as pictures can only be decoded from a key picture on, somewhat before it.
        """
        if start <= 0.0:
            return self._decode()
        back = 0.0
        while True:
            target = max(0.0, start - back)
            self._seek(target)
            pictures = self._decode()
            first = next(pictures, None)
            # Some formats (MPEG-TS) know no key pictures: what decodes first may come too late, then try farther back.
            if target == 0.0 or (first is not None and (first[0] is None or first[0] <= start)):
                return chain([first] if first is not None else [], pictures)
            back = max(1.0, 2.0 * back)

    def pixels(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, upright, C-contiguous."""
        with video_errors(self._name):
            rgb = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        return self.orientation(frame).upright(np.ascontiguousarray(rgb, np.uint8))

    def orientation(self, frame: av.VideoFrame) -> Orientation:
        """How the stored picture is turned upright, by the display matrix."""
        side_data: Any = frame.side_data  # a mapping; PyAV's stubs say something else
        try:
            matrix = side_data[SideData.DISPLAYMATRIX]
        except KeyError:
            return Orientation()
        return Orientation.from_display_matrix(np.frombuffer(bytes(matrix), np.int32).reshape(3, 3))

    def color_tags(self, frame: av.VideoFrame) -> ColorTags | None:
        """What the stream says about its colours."""
        return ColorTags(frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _seek(self, time: float) -> None:
        offset = round((Fraction(time) + self._origin) / time_base_of(self._stream))
        with suppress(av.error.FFmpegError):  # formats without an index stay where they are, at the beginning
            self._container.seek(offset, stream=self._stream)

    def _decode(self) -> Iterator[tuple[float | None, av.VideoFrame]]:
        for packet in packets_of(self._container, self._stream, on_damage=self._count_damage):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._count_damage()
                continue
            for frame in frames:
                yield self._timestamp(frame), frame

    def _count_damage(self) -> None:
        self.damaged += 1

    def _timestamp(self, frame: av.VideoFrame) -> float | None:
        if frame.pts is None or not frame.time_base:
            return None
        return float(frame.pts * frame.time_base - self._origin)


# Titles in unknown encodings must not keep a file from being read; from PyAV 19 on they never do.
_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def open_container(file: str | IO[bytes], name: str) -> InputContainer:
    """Open a media file for reading; `VideoError` if it is none. Nothing but this one file is ever opened."""
    options = {"protocol_whitelist": "file"}
    with video_errors(name):
        if isinstance(file, str):
            file = f"file:{file}"  # or FFmpeg takes a name with a colon for an address
        container: InputContainer = av.open(file, "r", container_options=options, **_TOLERANT)
        return container


def packets_of(
    container: InputContainer, *streams: Stream, on_damage: Callable[[], None] | None = None
) -> Iterator[av.Packet[Any]]:
    """The packets of some streams, as far as the file can be read; `on_damage` hears if that is not to its end."""
    packets = container.demux(*streams)
    try:
        yield from packets
    except av.error.FFmpegError:
        if on_damage is not None:
            on_damage()


def start_of(container: InputContainer, video: av.VideoStream) -> Fraction:
    """What the file's clock, in seconds, says where its first picture or sound is, whichever is the earlier.

    Sound that starts below zero is left out: that is the run-in of its codec, which is not heard.
    """
    starts = [
        max(start, Fraction(0)) if stream.type == "audio" else start
        for stream in (video, *container.streams.audio)
        if stream.start_time is not None
        for start in [stream.start_time * time_base_of(stream)]
    ]
    return min(starts, default=Fraction(0))


@contextmanager
def video_errors(name: str) -> Iterator[None]:
    """Whatever PyAV raises in the ``with`` block becomes a `VideoError` about the file called `name`."""
    try:
        yield
    except PosemaskError:
        raise
    except av.error.InvalidDataError as error:
        raise VideoError(f"{name} is damaged or not a video") from error
    except MemoryError as error:
        raise VideoError(f"a picture of {name} does not fit into memory") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{name} cannot be read as a video: {getattr(error, 'strerror', None) or error}") from error


def _best_video_stream(container: InputContainer, name: str, max_pixels: int) -> av.VideoStream:
    if any(word in container.format.name for word in _PICTURE_FORMATS):
        raise VideoError(f"{name} is a picture or not a video at all; read_image reads pictures")
    best = container.streams.best("video")
    if best is None or best.disposition & Disposition.attached_pic:
        what = "sound, and at most a cover picture" if container.streams.audio else "nothing that can be shown"
        raise VideoError(f"{name} has no video: it holds {what}")
    assert isinstance(best, av.VideoStream)
    if best.width * best.height > max_pixels:
        raise VideoError(
            f"{name} has pictures of {best.width} x {best.height} pixels; the limit is {max_pixels} "
            "(max_pixels sets another)"
        )
    return best


def _duration(container: InputContainer, stream: av.VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * time_base_of(stream))
    return container.duration / av.time_base if container.duration else None


def time_base_of(stream: Stream) -> Fraction:
    """Seconds per tick of a stream's timestamps."""
    return stream.time_base or Fraction(1, av.time_base)

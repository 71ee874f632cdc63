"""A video file for a GPU's decoder: packets as it takes them, and what the file says about the pictures in them.

Times, rotation and colours are read as `posemask.media.read_video` reads them; nothing here needs a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
from av.bitstream import BitStreamFilterContext

from ..errors import VideoError
from ..media import MAX_PIXELS
from ..media.container import ColorTags, ContainerSource, open_container, packets_of, start_of, time_base_of
from ..media.timeline import Timeline
from ..pixels.torch import YuvColors

__all__ = ["CODECS", "ON_THE_CPU", "PacketSource", "colors_of"]

CODECS = {"h264": "H264", "hevc": "HEVC", "vp8": "VP8", "vp9": "VP9", "av1": "AV1", "mpeg2video": "MPEG2"}
"""FFmpeg's names of the codecs that are decoded on a GPU, and the decoder's."""

FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}  # the decoder takes no others' lengths and headers
PIXELS = ("yuv420p", "yuvj420p", "nv12")  # 8 bits, chroma halved both ways: what becomes NV12
ON_THE_CPU = "posemask.read_video decodes it on the CPU (the command line does so, too)"
# FFmpeg's numbers of matrices; the others, and what a file does not say, are read as BT.601, as FFmpeg does.
MATRICES = {1: "bt709", 9: "bt2020", 10: "bt2020"}
FULL_RANGE = 2


class PacketSource:
    """The packets of a file's video, in the order in which they are decoded: an iterator, once through.

    Attributes:
        codec: a value of `CODECS`.
        stored_hw, orientation: of the stored pictures, and how they are turned upright.
        fps, duration, frame_count: as of `posemask.media.Video`.
        colors: what the numbers of its pictures mean.
        damaged: packets that could not be read so far; they are left out.
    """

    def __init__(self, name: str) -> None:
        """Raises `VideoError` if the file cannot be shown, or is not for a GPU's decoder."""
        self.name, self.damaged = name, 0
        source = ContainerSource(open_container(name, name), name, threads=None, max_pixels=MAX_PIXELS)
        try:
            first = next(source.pictures(), None)
            if first is None:
                raise VideoError(f"{name} has no pictures, or none of them can be decoded")
            picture = first[1]
            self.stored_hw = (picture.height, picture.width)
            self.orientation = source.orientation(picture)
            self.fps, self.duration, self.frame_count = source.fps, source.duration, source.frame_count
            self.colors = colors_of(source.color_tags(picture), picture.format.name)
            pixels = picture.format.name
        finally:
            source.close()
        self._container = open_container(name, name)
        stream = self._container.streams.best("video")
        assert isinstance(stream, av.VideoStream)
        kind = stream.codec_context.codec.canonical_name
        problem = None
        if kind not in CODECS:
            problem = f"{name} is {kind} video; the GPU's decoder is used for {', '.join(CODECS)}"
        elif pixels not in PIXELS:
            problem = f"{name} has {pixels} pictures; the GPU's decoder is used for 8 bits and 4:2:0 chroma"
        elif self.stored_hw[0] % 2 or self.stored_hw[1] % 2:
            height, width = self.stored_hw
            problem = f"{name} has pictures of {width} x {height} pixels; the GPU's decoder is used for even sides"
        if problem:
            self._container.close()
            raise VideoError(f"{problem}; {ON_THE_CPU}")
        self.codec = CODECS[kind]
        self._filter = BitStreamFilterContext(FILTERS[kind], stream) if kind in FILTERS else None
        self._packets = packets_of(self._container, stream, on_damage=self._count_damage)
        self._time_base, self._origin = time_base_of(stream), start_of(self._container, stream)
        self._timeline = Timeline(1 / (self.fps or 30.0))
        self._unseen: set[int | None] = set()

    def __iter__(self) -> Iterator[av.Packet[Any]]:
        for packet in self._packets:
            if packet.size == 0:
                continue  # PyAV's mark of the end
            if packet.is_discard:
                self._unseen.add(packet.pts)
            if self._filter is None:
                yield packet
                continue
            try:
                yield from self._filter.filter(packet)
            except av.error.FFmpegError:
                self.damaged += 1

    def time_of(self, pts: int | None) -> float | None:
        """Seconds at which the picture of a packet is shown, asked for in that order; None if it is not shown."""
        if pts is not None and pts in self._unseen:
            return None  # before the cut that an edit list makes
        time = self._timeline.time_of(None if pts is None else float(Fraction(pts) * self._time_base - self._origin))
        return time if time >= 0 else None  # as `posemask.media.Video` leaves out what comes before its start

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _count_damage(self) -> None:
        self.damaged += 1


def colors_of(tags: ColorTags | None, pixels: str) -> YuvColors:
    """What the numbers of pictures mean, by a video's tags and FFmpeg's name of its pixel format."""
    matrix = MATRICES.get(tags.matrix if tags else 2, "bt601")
    full = pixels.startswith("yuvj") or (tags is not None and tags.range == FULL_RANGE)
    return YuvColors(matrix=matrix, full_range=full)  # type: ignore[arg-type]

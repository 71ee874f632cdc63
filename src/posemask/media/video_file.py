"""Encoding video files with PyAV: which format for which suffix, true times, colours that mean what they meant."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter

from ..errors import OutputError, PosemaskError
from .audio import Soundtrack
from .container import ColorTags
from .outputs import PendingFile
from .video import Video

__all__ = ["VIDEO_SUFFIXES", "VideoFile"]


@dataclass(frozen=True, slots=True)
class _Encoder:
    """An encoder of FFmpeg's, its pixel format and options; `bits_per_pixel` for those that need a bit rate."""

    name: str
    pixel_format: str
    options: Mapping[str, str]
    bits_per_pixel: float = 0.0


@dataclass(frozen=True, slots=True)
class _Format:
    """What goes into a container. The first encoder that this build of FFmpeg has is used.

    Attributes:
        encoders: for the pictures.
        time_base: seconds per tick of the container.
        even: whether width and height must be even.
        sound: the encoder for sound that cannot be copied.
        run_in: whether there may be sound below time 0, which is not played.
    """

    encoders: tuple[_Encoder, ...]
    time_base: Fraction
    even: bool
    sound: str
    run_in: bool


# B-pictures are off: with irregular times they make MP4 files that claim to end before their last picture.
_H264 = (
    _Encoder("libx264", "yuv420p", {"preset": "veryfast", "crf": "18", "bf": "0"}),
    _Encoder("libopenh264", "yuv420p", {}, bits_per_pixel=0.15),
    _Encoder("h264_videotoolbox", "yuv420p", {"bf": "0"}, bits_per_pixel=0.15),
    _Encoder("h264_mf", "yuv420p", {}, bits_per_pixel=0.15),
    _Encoder("mpeg4", "yuv420p", {}, bits_per_pixel=0.25),
)
_VP9_OPTIONS = {"crf": "24", "b:v": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"}
_VP9 = (_Encoder("libvpx-vp9", "yuv420p", _VP9_OPTIONS),)
_VP9_ALPHA = (_Encoder("libvpx-vp9", "yuva420p", {**_VP9_OPTIONS, "auto-alt-ref": "0"}),)
# A fixed quantizer of 2 (FFmpeg counts in 118ths): four times faster than the encoder's own search for one, at a mean
# error of 0.2 grey levels.
_PRORES_OPTIONS = {"profile": "4444", "alpha_bits": "16", "vendor": "apl0", "flags": "+qscale", "global_quality": "236"}
_PRORES_4444 = (_Encoder("prores_ks", "yuva444p10le", _PRORES_OPTIONS),)

_FINE, _MILLISECONDS = Fraction(1, 90_000), Fraction(1, 1_000)  # Matroska and WebM keep whole milliseconds

_OPAQUE = {
    ".mp4": _Format(_H264, _FINE, even=True, sound="aac", run_in=True),
    ".m4v": _Format(_H264, _FINE, even=True, sound="aac", run_in=True),
    ".mov": _Format(_H264, _FINE, even=True, sound="aac", run_in=True),
    ".mkv": _Format(_H264, _MILLISECONDS, even=True, sound="aac", run_in=False),
    ".webm": _Format(_VP9, _MILLISECONDS, even=False, sound="libopus", run_in=False),
}
_WITH_ALPHA = {
    ".mov": _Format(_PRORES_4444, _FINE, even=False, sound="aac", run_in=True),
    ".webm": _Format(_VP9_ALPHA, _MILLISECONDS, even=False, sound="libopus", run_in=False),
}

VIDEO_SUFFIXES = frozenset(_OPAQUE)
"""Suffixes of the video files that can be written."""

_SRGB = ColorTags(matrix=1, range=1, transfer=1, primaries=1)  # BT.709, limited range: what players expect of HD
_BT601 = 5
# AVCOL_SPC number: the matrix to convert with. "Not said" (2) was read as BT.601 and is written so, and as not said,
# so that a player's guess about the result is its guess about the original.
_MATRICES = {1: 1, 2: _BT601, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: 9, 10: 9}


class VideoFile:
    """A video file that is being written; see `posemask.media.VideoWriter`."""

    def __init__(
        self,
        path: Path,
        *,
        fps: float,
        alpha: bool,
        like: Video | None,
        audio: bool,
        threads: int | None,
        overwrite: bool,
    ) -> None:
        formats = _WITH_ALPHA if alpha else _OPAQUE
        suffix = path.suffix.lower()
        if suffix not in formats:
            what = "a video with alpha" if alpha else "a video"
            raise OutputError(
                f"cannot write {path}: the suffix of {what} is one of {', '.join(formats)}, got {path.suffix!r}; "
                "a name without a suffix makes a folder of PNG files"
            )
        self._format = formats[suffix]
        self._encoder = _available(self._format.encoders, path)
        self._fps = Fraction(fps).limit_denominator(1_001_000)
        self._alpha = alpha
        self._like = like
        self._copy_sound = audio and like is not None and like.has_audio and like.path is not None
        self._threads = threads
        self._pixels = VideoReformatter()
        self._last_tick = -1
        self._pending = PendingFile(path, overwrite=overwrite)
        self._sound: Soundtrack | None = None
        self._stream: av.VideoStream | None = None
        try:
            with _encoding_errors(path):
                self._container: OutputContainer = av.open(str(self._pending.temporary), "w")
        except BaseException:
            self._pending.discard()
            raise

    def write(self, image: npt.NDArray[np.uint8], time: Fraction) -> None:
        """Encode one picture, (H, W, 3) or with alpha (H, W, 4) uint8, that is shown from `time` on, in seconds."""
        with _encoding_errors(self._pending.path):
            stream = self._stream or self._start(image)
            frame = av.VideoFrame.from_numpy_buffer(self._fit(image), format="rgba" if self._alpha else "rgb24")
            tags = self._tags()
            frame = self._pixels.reformat(
                frame,
                width=stream.width,
                height=stream.height,
                format=self._encoder.pixel_format,
                dst_colorspace=_MATRICES.get(tags.matrix, _BT601),
                dst_color_range=1,
            )
            tick = max(round(time / self._format.time_base), self._last_tick + 1)
            self._last_tick = tick
            frame.pts, frame.time_base = tick, self._format.time_base
            if self._sound is not None:
                self._sound.write_until(time)
            self._container.mux(stream.encode(frame))

    def close(self) -> None:
        """Write what is left and give the file its name."""
        try:
            with _encoding_errors(self._pending.path):
                if self._stream is None:
                    raise OutputError(f"nothing to write into {self._pending.path}: there were no pictures")
                self._container.mux(self._stream.encode(None))
                if self._sound is not None:
                    self._sound.write_until(None)
                self._container.close()
        except BaseException:
            self.abort()
            raise
        self._close_sound()
        self._pending.commit()

    def abort(self) -> None:
        """Leave nothing behind."""
        self._close_sound()
        with suppress(Exception):  # the file is thrown away: it need not end well
            self._container.close()
        self._pending.discard()

    def _start(self, image: npt.NDArray[np.uint8]) -> av.VideoStream:
        height, width = image.shape[:2]
        if self._format.even:
            height, width = height + height % 2, width + width % 2
        stream = self._container.add_stream(self._encoder.name, rate=self._fps, options=dict(self._encoder.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = self._encoder.pixel_format
        stream.time_base = self._format.time_base
        context = stream.codec_context
        context.time_base = self._format.time_base
        if self._encoder.bits_per_pixel:
            stream.bit_rate = int(self._encoder.bits_per_pixel * width * height * self._fps)
        if self._threads is not None:
            context.thread_count = self._threads
        tags = self._tags()
        context.colorspace, context.color_range = tags.matrix, 1
        context.color_trc, context.color_primaries = tags.transfer, tags.primaries
        if self._like is not None and self._like.pixel_aspect:
            context.sample_aspect_ratio = self._like.pixel_aspect
        if self._copy_sound:
            assert self._like is not None
            self._sound = Soundtrack(
                self._like, self._container, encoder=self._format.sound, run_in=self._format.run_in
            )
        self._stream = stream
        return stream

    def _tags(self) -> ColorTags:
        tags = self._like.color_tags if self._like is not None else None
        return tags if tags is not None and tags.matrix in _MATRICES else _SRGB

    def _fit(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The picture with the channels that are encoded, and its edge repeated where its size must be even."""
        channels = 4 if self._alpha else 3
        if image.shape[2] > channels:
            image = image[..., :channels]
        elif image.shape[2] < channels:
            image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        if self._format.even:
            odd_rows, odd_columns = image.shape[0] % 2, image.shape[1] % 2
            if odd_rows or odd_columns:
                image = np.pad(image, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
        return np.ascontiguousarray(image)

    def _close_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()
            self._sound = None


def _available(encoders: tuple[_Encoder, ...], path: Path) -> _Encoder:
    for encoder in encoders:
        if encoder.name in av.codecs_available:
            return encoder
    names = ", ".join(encoder.name for encoder in encoders)
    raise OutputError(f"cannot write {path}: this build of PyAV's FFmpeg has none of the encoders {names}")


@contextmanager
def _encoding_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except PosemaskError:
        raise
    except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise OutputError(f"cannot write {path}: {reason}") from error

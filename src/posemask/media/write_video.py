"""Writing videos: files by their suffix, or a folder of PNG files with a table of their times."""

from __future__ import annotations

import csv
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, OutputError
from .arrays import writable_pixels
from .outputs import PendingFolder, output_errors
from .video import Video
from .video_file import VideoFile
from .write_picture import PICTURE_SUFFIXES, write_image

__all__ = ["VideoWriter"]

_DEFAULT_FPS = 30.0


class VideoWriter:
    """Writes a video, picture by picture, each at its true time.

        with posemask.read_video("in.mp4") as video, posemask.VideoWriter("out.mp4", like=video) as writer:
            for frame in video:
                writer.write(draw(frame.image), frame.time)

    The file gets its name when the ``with`` block ends well (or by `close`); when it ends with an error, or by Ctrl-C,
    nothing is left. The suffix says the format:

        .mp4 .mov .mkv .m4v   H.264, AAC; odd widths and heights grow by one repeated column or row, as 4:2:0 needs
        .webm                 VP9, Opus
        .mov with alpha       ProRes 4444
        .webm with alpha      VP9 with alpha
        no suffix             a folder of 000000.png, 000001.png ... and times.csv (file, time in seconds)

    H.264 comes from x264 (GPL) where PyAV's FFmpeg has it, as in its wheels; a build without it uses what it has.
    Pictures of another size than the first are scaled to its size.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | None = None,
        like: Video | None = None,
        alpha: bool = False,
        audio: bool = True,
        threads: int | None = None,
        overwrite: bool = False,
    ) -> None:
        """Open a video for writing.

        Args:
            path: where to.
            fps: frames per second, for times that are not given and as a hint to players. None: that of `like`, or 30.
            like: the video that the pictures come from. Its sound is copied (encoded anew where the format has no
                room for it), its colour tags and pixel aspect are kept, and its `start` is time 0 of the output.
            alpha: keep the fourth channel of the pictures.
            audio: False leaves the sound of `like` out.
            threads: for encoding; None lets the encoder choose.
            overwrite: replace an existing file.

        Raises:
            OutputError: the file cannot be written, is there already, or its format is not known.
            InputError: `fps` makes no sense.
        """
        rate = fps if fps is not None else ((like.fps if like is not None else None) or _DEFAULT_FPS)
        if not 0.0 < rate <= 100_000.0:
            raise InputError(f"fps is the number of frames per second, more than 0, got {rate}")
        path = Path(path)
        if path.suffix.lower() in PICTURE_SUFFIXES:
            raise OutputError(f"cannot write a video into {path}: a name without a suffix makes a folder of PNG files")
        self.path = path
        self._interval = 1 / Fraction(rate)
        self._zero = Fraction(like.start) if like is not None else Fraction(0)
        self._last: Fraction | None = None
        self._sink: VideoFile | _PictureFolder | None
        if path.suffix:
            self._sink = VideoFile(
                path, fps=rate, alpha=alpha, like=like, audio=audio, threads=threads, overwrite=overwrite
            )
        else:
            self._sink = _PictureFolder(path, alpha=alpha, overwrite=overwrite)

    def write(self, image: npt.NDArray[Any], time: float | None = None) -> None:
        """Add a picture.

        Args:
            image: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGB and straight alpha; uint8, bool, uint16 or floating
                point in [0, 1].
            time: seconds at which it is shown, later than the one before; None: one frame later.

        Raises:
            InputError: the time does not increase, `image` is no picture, or the video is finished.
            OutputError: it cannot be written; the file must then be given up with `abort` (a ``with`` block does so).
        """
        if self._sink is None:
            raise InputError(f"{self.path} is finished; open another VideoWriter for more pictures")
        at = self._time(time)
        pixels = writable_pixels(image)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        self._sink.write(pixels, at)
        self._last = at

    def close(self) -> None:
        """Finish the video and give it its name. `OutputError` if that fails, and then nothing is left.

        Has no effect after `close` or `abort`.
        """
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def abort(self) -> None:
        """Give the video up: nothing is left. Has no effect after `close` or `abort`."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abort()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _time(self, time: float | None) -> Fraction:
        if time is None:
            return Fraction(0) if self._last is None else self._last + self._interval
        if not np.isfinite(time):
            raise InputError(f"a frame's time is a number of seconds, got {time}")
        at = Fraction(time) - self._zero
        if at < 0:
            raise InputError(
                f"a frame's time is {float(self._zero):g} s (where the video starts) or later, got {time:g} s"
            )
        if self._last is not None and at <= self._last:
            before = float(self._last + self._zero)
            raise InputError(f"a frame's time must be later than the one before ({before:g} s), got {time:g} s")
        return at


class _PictureFolder:
    """A folder of PNG files and a table of their times."""

    def __init__(self, path: Path, *, alpha: bool, overwrite: bool) -> None:
        self._alpha = alpha
        self._pending = PendingFolder(path, overwrite=overwrite)
        self._count = 0
        self._table: IO[str] | None = None

    def write(self, image: npt.NDArray[np.uint8], time: Fraction) -> None:
        name = f"{self._count:06d}.png"
        write_image(self._pending.temporary / name, image if self._alpha else image[..., :3])
        with output_errors(self._pending.path):
            if self._table is None:
                self._table = (self._pending.temporary / "times.csv").open("w", newline="", encoding="utf-8")
                csv.writer(self._table).writerow(["file", "time"])
            csv.writer(self._table).writerow([name, f"{float(time):.6f}"])
        self._count += 1

    def close(self) -> None:
        if self._table is None:
            self.abort()
            raise OutputError(f"nothing to write into {self._pending.path}: there were no pictures")
        with output_errors(self._pending.path):
            self._table.close()
        self._pending.commit()

    def abort(self) -> None:
        if self._table is not None:
            self._table.close()
        self._pending.discard()

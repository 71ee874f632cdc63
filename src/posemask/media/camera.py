"""Live cameras and streams: always the newest picture; what comes too fast for the reader is dropped.

A file waits for its reader, a camera does not. A thread takes every picture as it comes and keeps the last one;
whoever iterates gets that one, once, or waits for the next.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
import av.error
from av.container import InputContainer

from ..errors import InputError, VideoError
from ..results import Frame
from .container import ContainerSource
from .pictures import MAX_PIXELS
from .timeline import Timeline

__all__ = ["Camera", "open_camera"]

_Arrived = tuple[int, float, av.VideoFrame]

_LIKELY_RATE = 30.0  # frames per second where a camera does not say
_PATIENCE = 10.0  # seconds that a camera may be silent before it counts as gone


def open_camera(device: int | str = 0, *, size_hw: tuple[int, int] | None = None, fps: float | None = None) -> Camera:
    """Open a camera, or a live stream from the network.

        with posemask.open_camera(0) as camera:
            for frame in camera:
                poses = detector.estimate_poses(frame)

    Args:
        device: number of a camera, from 0; its name (``/dev/video2`` on Linux, as the system shows it on macOS and
            Windows); or the address of a live stream (``rtsp://...``, ``http://...``).
        size_hw: height and width to ask the camera for; None leaves it the choice.
        fps: frames per second to ask for; None leaves the camera the choice.

    Raises:
        VideoError: there is no such camera, or it does not deliver pictures.
    """
    live = isinstance(device, str) and "://" in device
    file, kind = (str(device), None) if live else _device(device)
    options = {"rtsp_transport": "tcp"} if live else {}
    if size_hw is not None:
        options["video_size"] = f"{size_hw[1]}x{size_hw[0]}"
    if fps is not None:
        options["framerate"] = f"{fps:g}"
    try:
        container = av.open(file, "r", format=kind, options=options, timeout=_PATIENCE)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"cannot open {file}: {reason}.{'' if live else _who_is_there()}") from error
    return Camera(container, file)


class Camera:
    """An open camera, made by `open_camera`: an iterator over its newest frames. Close it, or use it with ``with``.

    Attributes:
        name: the device or address.
        size_hw: height and width of the pictures.
        fps: frames per second, as the camera says; None if it does not.
        dropped: pictures so far that came and went before they were asked for.
    """

    def __init__(self, container: InputContainer, name: str) -> None:
        # One thread: several would each hold a picture back.
        self._source = ContainerSource(container, name, threads=1, max_pixels=MAX_PIXELS)
        self.name = name
        self.fps = self._source.fps
        self.dropped = 0
        self._news = threading.Condition()
        self._newest: _Arrived | None = None
        self._ended = False
        self._error: Exception | None = None
        self._closing = False
        self._reader = threading.Thread(target=self._read, name=f"camera {name}", daemon=True)
        self._reader.start()
        first = self._wait(timeout=_PATIENCE)
        if first is None:
            self.close()
            raise VideoError(f"{name} delivers no pictures")
        picture = first[2]
        self.size_hw = self._source.orientation(picture).upright_hw((picture.height, picture.width))

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """The newest picture that was not given yet; waits for one. `VideoError` if the camera goes away."""
        newest = self._wait(take=True)
        if newest is None:
            if self._closing:
                raise StopIteration
            raise VideoError(f"{self.name} has stopped delivering pictures") from self._error
        index, time, picture = newest
        return Frame(image=self._source.pixels(picture), time=time, index=index)

    def close(self) -> None:
        """Let the camera go; iteration ends."""
        self._closing = True
        self._reader.join(timeout=2 * _PATIENCE)
        self._newest = None
        self._source.close()

    def __enter__(self) -> Camera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, *, take: bool = False, timeout: float | None = None) -> _Arrived | None:
        """Index, time and picture of the newest one, which is kept for the next call unless `take`; None at the end."""
        with self._news:
            self._news.wait_for(lambda: self._newest or self._ended, timeout)
            newest = self._newest
            if take:
                self._newest = None
            return newest

    def _read(self) -> None:
        timeline = Timeline(1.0 / (self.fps or _LIKELY_RATE))
        try:
            for index, (timestamp, picture) in enumerate(self._source.pictures()):
                if self._closing:
                    break
                time = timeline.time_of(timestamp)
                with self._news:
                    self.dropped += self._newest is not None
                    self._newest = (index, time, picture)
                    self._news.notify_all()
        except Exception as error:  # whoever waits for pictures must hear of it
            self._error = error
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()


def _device(device: int | str) -> tuple[str, str]:
    """What FFmpeg calls a camera on this system, and by which of its readers it is opened."""
    if not isinstance(device, (int, str)):
        raise InputError(f"a camera is a number, a name or an address, got {device!r}")
    if isinstance(device, int) and (isinstance(device, bool) or device < 0):
        raise InputError(f"a camera's number is 0 or more, got {device!r}")
    if sys.platform == "darwin":
        return str(device), "avfoundation"
    if sys.platform == "win32":
        if isinstance(device, int):
            raise InputError("on Windows a camera is opened by its name, such as 'Integrated Camera', not by a number")
        return f"video={device}", "dshow"
    return (f"/dev/video{device}" if isinstance(device, int) else device), "v4l2"


def _who_is_there() -> str:
    if not sys.platform.startswith("linux"):
        return ""
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f" There is {', '.join(cameras)}" if cameras else " This machine has no camera (no /dev/video*)"

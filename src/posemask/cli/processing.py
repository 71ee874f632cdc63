"""What the commands that read pictures and videos share: go through the inputs, show progress, keep errors apart.

A command says how to load its model and what to do with a picture (`Job`), and which files come of it (`Output`).
Reading, working and writing overlap. With one input an error is the command's error; with several each failure is
reported, the others are done all the same, and the exit status is 1.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import threading
import time as clock
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, OutputError, PosemaskError
from ..media import (
    PendingFile,
    Video,
    VideoWriter,
    is_video,
    output_errors,
    read_color_profile,
    read_image,
    read_video,
    refuse_to_overwrite,
    write_image,
)
from ..results import Frame, Pose
from .files import Destination, Source
from .overlap import overlap, overlap_several
from .progress import Progress, show_progress
from .results_json import ResultsJson

__all__ = ["Job", "JsonOutput", "Output", "PictureOutput", "Result", "Settings", "process", "quiet_libraries"]

Picture = npt.NDArray[np.uint8]

PICTURES_FOR_SEVERAL = 4
"""From so many pictures on, models of their own for each processor are worth the time to load them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one picture: another picture, or poses, or both.

    Attributes:
        picture: RGB, RGB with alpha, or grey.
        poses: of its people.
        color_profile: what the colours of the picture mean, where the input's file says it.
    """

    picture: npt.NDArray[Any] | None = None
    poses: Sequence[Pose] = ()
    color_profile: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with each picture.

    Attributes:
        work: (H, W, 3) uint8 RGB and its time in seconds, or None for a picture that stands alone -> `Result`.
        reset: called before each video.
    """

    work: Callable[[Picture, float | None], Result]
    reset: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all commands can be told.

    Attributes:
        start, end: seconds of a video, where to begin and to stop.
        overwrite: replace existing files.
        quiet: print errors only.
    """

    start: float = 0.0
    end: float | None = None
    overwrite: bool = False
    quiet: bool = False


Write = Callable[[int, float | None, Result], None]
"""Writes what came of one picture: its number from 0, its time in seconds or None, and the result."""


@dataclass(frozen=True, slots=True)
class PictureOutput:
    """The pictures of the results, as picture or video files.

    Attributes:
        destination: where to.
        alpha: whether they have alpha.
    """

    destination: Destination
    alpha: bool = False

    def open(
        self, path: Path | None, source: Source, video: Video | None, size_hw: tuple[int, int], *, overwrite: bool
    ) -> AbstractContextManager[Write]:
        """A file for the results of one input; it is complete when the ``with`` block has ended well."""
        if video is None:
            return self._picture(path, overwrite)
        if path is None:
            raise OutputError("a video cannot go to the standard output; name a file")
        return self._video(path, video, overwrite)

    @contextmanager
    def _picture(self, path: Path | None, overwrite: bool) -> Iterator[Write]:
        def write(index: int, time: float | None, result: Result) -> None:
            assert result.picture is not None
            if path is not None:
                write_image(path, result.picture, color_profile=result.color_profile, overwrite=overwrite)
            else:
                _print_png(result.picture, result.color_profile if result.picture.ndim == 3 else None)

        yield write

    @contextmanager
    def _video(self, path: Path, video: Video, overwrite: bool) -> Iterator[Write]:
        with VideoWriter(path, like=video, alpha=self.alpha, overwrite=overwrite) as writer:

            def write(index: int, time: float | None, result: Result) -> None:
                assert result.picture is not None
                writer.write(result.picture, time)

            yield write


@dataclass(frozen=True, slots=True)
class JsonOutput:
    """The poses of the results, as JSON or JSON Lines.

    Attributes:
        destination: where to.
        model: named in the file.
    """

    destination: Destination
    model: str

    @contextmanager
    def open(
        self, path: Path | None, source: Source, video: Video | None, size_hw: tuple[int, int], *, overwrite: bool
    ) -> Iterator[Write]:
        """A file for the results of one input; it is complete when the ``with`` block has ended well."""
        if path is None:
            document = self._document(sys.stdout, source, size_hw, lines=True)
            yield lambda index, time, result: document.write(index, time, result.poses)
            document.close()
            return
        pending = PendingFile(path, overwrite=overwrite)
        stream: IO[str] | None = None
        try:
            with output_errors(path):
                stream = pending.temporary.open("w", encoding="utf-8")
                lines = path.suffix.lower() in (".jsonl", ".ndjson")
                document = self._document(stream, source, size_hw, lines=lines)

            def write(index: int, time: float | None, result: Result) -> None:
                with output_errors(path):
                    document.write(index, time, result.poses)

            yield write
            with output_errors(path):
                document.close()
                stream.close()
            pending.commit()
        finally:
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
            pending.discard()

    def _document(self, stream: IO[str], source: Source, size_hw: tuple[int, int], *, lines: bool) -> ResultsJson:
        return ResultsJson(stream, lines=lines, source=source.name, model=self.model, size_hw=size_hw)


Output = PictureOutput | JsonOutput


def process(
    sources: Sequence[Source],
    load: Callable[[int | None], Job],
    outputs: Sequence[Output],
    settings: Settings,
    *,
    threads: int | None = None,
    workers: int = 1,
) -> int:
    """Do a job with every input and write what comes of it. Returns the exit status.

    Args:
        sources: the inputs.
        load: loads the model for a number of threads, None for the usual one.
        outputs: what to write for each input.
        settings: what the user said.
        threads: what `load` is given.
        workers: how many pictures may be worked on at once, each with a model of its own and one thread.
    """
    if not (settings.end is None or settings.end > settings.start >= 0.0):
        raise InputError(f"--end must be later than --start, got {settings.start:g} and {settings.end:g}")
    talk = not any(output.destination.prints(source) for output in outputs for source in sources)
    with ExitStack() as stack:
        stack.enter_context(quiet_libraries())
        stack.enter_context(_terminate_like_interrupt())
        job = load(threads)
        progress = stack.enter_context(show_progress(quiet=settings.quiet, talk=talk))
        run = _Run(job, load, outputs, settings, progress, workers=workers, alone=len(sources) == 1)
        for video, group in groupby(sources, key=lambda source: source.path is not None and is_video(source.path)):
            if video:
                for source in group:
                    run.video(source)
            else:
                run.pictures(list(group))
        return 1 if run.failures else 0


class _Run:
    """One run of a command over its inputs."""

    def __init__(
        self,
        job: Job,
        load: Callable[[int | None], Job],
        outputs: Sequence[Output],
        settings: Settings,
        progress: Progress,
        *,
        workers: int,
        alone: bool,
    ) -> None:
        self._job = job
        self._load = load
        self._workers = workers
        self._outputs = outputs
        self._settings = settings
        self._progress = progress
        self._alone = alone
        self.failures = 0

    def video(self, source: Source) -> None:
        """Process one video."""
        with self._report_failure():
            paths = self._paths(source, is_video=True)
            began, frames = clock.perf_counter(), 0
            with ExitStack() as stack:
                assert source.path is not None
                video = stack.enter_context(read_video(source.path, start=self._settings.start, end=self._settings.end))
                writes = self._open(stack, paths, source, video, video.size_hw)
                self._job.reset()
                self._progress.begin(source.path.name, video.frame_count)

                def work(frame: Frame) -> tuple[Frame, Result]:
                    return frame, self._job.work(frame.image, frame.time)

                def sink(done: tuple[Frame, Result]) -> None:
                    nonlocal frames
                    frame, result = done
                    for write in writes:
                        write(frame.index, frame.time, result)
                    frames += 1
                    self._progress.advance()

                overlap(video, work, sink)
            seconds = clock.perf_counter() - began
            self._tell(paths, f"{frames} frames in {seconds:.1f} s, {frames / seconds:.1f} frames per second")
            if video.damaged:
                self._progress.complain(f"warning: {source.name} is damaged: {video.damaged} packets were skipped")

    def pictures(self, sources: Sequence[Source]) -> None:
        """Process some pictures, one on each processor where there are several."""
        self._progress.begin("pictures", len(sources))
        if self._workers > 1 and len(sources) >= PICTURES_FOR_SEVERAL:
            jobs = [self._load(1) for _ in range(self._workers)]
        else:
            jobs = [self._job]
        overlap_several(self._read(sources), [partial(self._work, job) for job in jobs], self._write)

    def _read(self, sources: Sequence[Source]) -> Iterator[_Picture]:
        for source in sources:
            item = _Picture(source)
            with item.keep_failure():
                item.paths = self._paths(source, is_video=False)
                for path in item.paths:  # before the work, not after it
                    if path is not None:
                        refuse_to_overwrite(path, overwrite=self._settings.overwrite)
                file = source.path if source.path is not None else sys.stdin.buffer.read()
                item.image, item.color_profile = read_image(file), read_color_profile(file)
            yield item

    def _work(self, job: Job, item: _Picture) -> _Picture:
        with item.keep_failure():
            if item.image is not None:
                item.result = replace(job.work(item.image, None), color_profile=item.color_profile)
        return item

    def _write(self, item: _Picture) -> None:
        with self._report_failure():
            if item.failure is not None:
                raise item.failure
            assert item.image is not None
            assert item.result is not None
            with ExitStack() as stack:
                for write in self._open(stack, item.paths, item.source, None, item.image.shape[:2]):
                    write(0, None, item.result)
            self._tell(item.paths, "")
        self._progress.advance()

    def _paths(self, source: Source, *, is_video: bool) -> list[Path | None]:
        paths = [output.destination.path(source, is_video=is_video) for output in self._outputs]
        for path in paths:
            if paths.count(path) > 1:
                raise InputError(
                    f"two results would go to {path or 'the standard output'}; name another for one of them"
                )
        return paths

    def _open(
        self,
        stack: ExitStack,
        paths: Sequence[Path | None],
        source: Source,
        video: Video | None,
        size_hw: tuple[int, int],
    ) -> list[Write]:
        return [
            stack.enter_context(output.open(path, source, video, size_hw, overwrite=self._settings.overwrite))
            for output, path in zip(self._outputs, paths, strict=True)
        ]

    def _tell(self, paths: Sequence[Path | None], what: str) -> None:
        written = ", ".join(str(path) for path in paths if path is not None)
        self._progress.say(f"{written}: {what}" if what else written)

    @contextmanager
    def _report_failure(self) -> Iterator[None]:
        try:
            yield
        except PosemaskError as error:
            if self._alone:
                raise
            self.failures += 1
            self._progress.complain(f"error: {error}")


class _Picture:
    """A picture on its way through the stages, or what went wrong with it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.paths: list[Path | None] = []
        self.image: Picture | None = None
        self.color_profile: bytes | None = None
        self.result: Result | None = None
        self.failure: PosemaskError | None = None

    @contextmanager
    def keep_failure(self) -> Iterator[None]:
        """An error is kept, to be reported when it is this picture's turn."""
        try:
            yield
        except PosemaskError as error:
            self.failure = error


def _print_png(picture: npt.NDArray[Any], color_profile: bytes | None) -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", icc_profile=color_profile)
    sys.stdout.buffer.write(file.getvalue())
    sys.stdout.buffer.flush()


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """A polite request to end (SIGTERM) and the terminal's end (SIGHUP) are like Ctrl-C: nothing half written is left.

    A signal that is ignored, as nohup has it, or has a handler already is left alone.
    """
    taken = []
    if threading.current_thread() is threading.main_thread():
        present = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        taken = [number for number in present if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep C libraries (libtiff, TensorFlow Lite) and Pillow from writing over the bar and beside our one-line errors.

    They write to file descriptor 2 itself; our own messages go to a copy of it. POSEMASK_TRACEBACK=1 lets them talk.
    """
    if os.environ.get("POSEMASK_TRACEBACK"):
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module="PIL")
        logging.getLogger("PIL").addHandler(logging.NullHandler())
        sys.stderr.flush()
        kept = os.dup(2)
        stack.callback(os.close, kept)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        stack.callback(os.dup2, kept, 2)
        encoding = sys.stderr.encoding
        if sys.stderr is sys.__stderr__:  # a test's stand-in stays
            own = os.fdopen(os.dup(kept), "w", buffering=1, encoding=encoding, errors="backslashreplace")
            stack.enter_context(own)
            stack.enter_context(contextlib.redirect_stderr(own))
        yield

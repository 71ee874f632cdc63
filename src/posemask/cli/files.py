"""Which files a command reads, and what the files it writes are called."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, OutputError

__all__ = ["Destination", "Source", "find_sources"]

STANDARD = "-"
"""The name of the standard input and output streams."""

_OWN_MARK = ".out"  # of outputs that lie beside their inputs: dance.out.mp4


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was named, or found in a folder; path is None for the standard input."""

    path: Path | None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return "standard input" if self.path is None else str(self.path)

    @property
    def stem(self) -> str:
        """The name of its results, without a suffix."""
        return "stdin" if self.path is None else self.path.stem


def find_sources(arguments: Sequence[str]) -> list[Source]:
    """The files that some arguments mean: files, folders (pictures and videos in them), patterns, and ``-``.

    Files that do not exist are kept: reading them says so, and the others are processed all the same. Raises
    `InputError` for a pattern or folder without any file.
    """
    return [source for argument in arguments for source in _expand(argument)]


def _expand(argument: str) -> Iterator[Source]:
    path = Path(argument)
    if not argument:
        raise InputError("an input has an empty name; a variable may be unset")
    if argument == STANDARD:
        yield Source(None)
    elif path.is_dir():
        yield from (Source(file) for file in _media_files(path))
    elif glob.has_magic(argument) and not path.exists():
        found = sorted(file for file in glob.glob(argument, recursive=True) if os.path.isfile(file))
        if not found:
            raise InputError(f"no file matches {argument!r}")
        yield from (Source(Path(file)) for file in found)
    else:
        yield Source(path)


def _media_files(folder: Path) -> list[Path]:
    from ..media import PICTURE_INPUTS, VIDEO_INPUTS

    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_INPUTS | VIDEO_INPUTS
        and path.is_file()
        and not path.name.startswith(".")
        and not path.stem.endswith(_OWN_MARK)
    )
    if not found:
        raise InputError(f"{folder} holds no pictures or videos")
    return found


@dataclass(slots=True)
class Destination:
    """Where the results of one kind go, for each input.

    Attributes:
        option: what the user said: None for beside the input, a file, a folder, or ``-`` for standard output.
        several: whether there are several inputs; they need a folder.
        picture_suffix, video_suffix: of the results for pictures and videos; None keeps the input's own if a file of
            that kind can be written, "" makes a folder of a video's frames.
    """

    option: str | None
    several: bool
    picture_suffix: str | None
    video_suffix: str | None
    _taken: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.option == "":
            raise InputError("the output has an empty name; a variable may be unset")
        if self.option is not None and self.several and not self._is_folder():
            raise InputError(f"several inputs need a folder for their results, got {self.option}; end it with a slash")

    def path(self, source: Source, *, is_video: bool) -> Path | None:
        """The file (or folder of frames) for the results of `source`; None is the standard output.

        Folders are made as needed. Raises `OutputError` if the result would replace its own input.
        """
        if self.prints(source):
            return None
        path = self._path(source, self._suffix(source, is_video))
        if source.path is not None and _same_file(path, source.path):
            raise OutputError(f"the result would replace its input {source.path}; name another output")
        self._taken.add(path)
        return path

    def prints(self, source: Source) -> bool:
        """Whether the results of `source` go to the standard output."""
        return self.option == STANDARD or (self.option is None and source.path is None)

    def _path(self, source: Source, suffix: str) -> Path:
        if self.option is None:
            assert source.path is not None
            return self._free(source.path.parent, source, f"{source.stem}{_OWN_MARK}", suffix)
        if not self._is_folder():
            return Path(self.option)
        folder = Path(self.option)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise OutputError(f"cannot write into {folder}: it is not a folder; give a file's name a suffix") from error
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
        return self._free(folder, source, source.stem, suffix)

    def _free(self, folder: Path, source: Source, stem: str, suffix: str) -> Path:
        """A name that no other input of this run has: a.jpg and a.png become a.png and a-png.png."""
        path, count = folder / f"{stem}{suffix}", 1
        if path in self._taken and source.path is not None:
            stem = f"{stem}-{source.path.suffix[1:]}"
            path = folder / f"{stem}{suffix}"
        while path in self._taken:
            count += 1
            path = folder / f"{stem}-{count}{suffix}"
        return path

    def _suffix(self, source: Source, is_video: bool) -> str:
        from ..media import PICTURE_SUFFIXES, VIDEO_SUFFIXES

        wanted = self.video_suffix if is_video else self.picture_suffix
        if wanted is not None:
            return wanted
        own = source.path.suffix.lower() if source.path is not None else ""
        if is_video:
            return own if own in VIDEO_SUFFIXES else ".mp4"
        return own if own in PICTURE_SUFFIXES else ".png"

    def _is_folder(self) -> bool:
        option = self.option or ""
        if self.video_suffix == "" and not self.several:
            return option.endswith(("/", os.sep))  # without a slash it is the folder of frames itself
        return (
            option.endswith(("/", os.sep)) or os.path.isdir(option) or (option != STANDARD and not Path(option).suffix)
        )


def _same_file(a: Path, b: Path) -> bool:
    """Whether two paths lead to one file, also by links and where the case of letters does not count."""
    try:
        return a.samefile(b)
    except OSError:  # one is not there
        return a.resolve() == b.resolve()

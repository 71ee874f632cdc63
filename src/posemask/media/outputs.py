"""Files that get their final name only when they are complete.

What is written goes to a hidden name beside the final one (so that the last step is a rename, not a copy), and is
removed when the work fails or is broken off. An existing file is kept unless the caller says ``overwrite``.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OutputError

__all__ = ["PendingFile", "PendingFolder", "output_errors", "pending_file", "refuse_to_overwrite"]


class PendingFile:
    """A file that is being written at `temporary` and will be `path`.

    Raises `OutputError` at once if `path` cannot become a file: it is a folder, its folder is missing or closed to
    writing, or there is a file already and `overwrite` is False.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.temporary = _beside(self.path)
        self._overwrite = overwrite
        with output_errors(self.path):
            refuse_to_overwrite(self.path, overwrite=overwrite)
            self.temporary.touch(exist_ok=False)

    def commit(self) -> None:
        """The file is complete: give it its name."""
        try:
            with output_errors(self.path):
                refuse_to_overwrite(self.path, overwrite=self._overwrite)  # it may have come to be in the meantime
                self.temporary.replace(self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written; nothing happens after `commit`, or a second time."""
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)


class PendingFolder:
    """A folder of files that is being written at `temporary` and will be `path`.

    With `overwrite` the new files replace those of the same name in an existing folder; other files in it stay.
    Without, an existing folder must be empty.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.temporary = _beside(self.path)
        self._overwrite = overwrite
        with output_errors(self.path):
            self._refuse_to_overwrite()
            self.temporary.mkdir()

    def commit(self) -> None:
        """All files are complete: move them to where they belong."""
        try:
            with output_errors(self.path):
                self._refuse_to_overwrite()
                self.path.mkdir(exist_ok=True)
                for file in sorted(self.temporary.iterdir()):
                    file.replace(self.path / file.name)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written; nothing happens after `commit`, or a second time."""
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _refuse_to_overwrite(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"cannot write a folder {self.path}: there is a file of that name")
        if not self._overwrite and self.path.is_dir() and any(self.path.iterdir()):
            raise OutputError(f"{self.path} is a folder with files in it and was kept; overwrite replaces files in it")


def refuse_to_overwrite(path: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` if `path` is a folder, or if there is a file already and `overwrite` is False."""
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; name a file in it")
    if not overwrite and path.exists():
        raise OutputError(f"{path} is there already and was kept; overwrite replaces it")


@contextmanager
def pending_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to; what lies there becomes `path` when the ``with`` block ends without an error."""
    pending = PendingFile(path, overwrite=overwrite)
    try:
        yield pending.temporary
        pending.commit()
    finally:
        pending.discard()


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Whatever the system says in the ``with`` block against writing `path` becomes an `OutputError`."""
    try:
        yield
    except OutputError:
        raise
    except FileNotFoundError as error:
        raise OutputError(f"cannot write {path}: the folder {path.parent} does not exist") from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _beside(path: Path) -> Path:
    # The suffix stays at the end: it says which format to write. A name may have 255 bytes, a letter up to 4.
    folder = (path.resolve() if path.name in ("", "..") else path).parent
    return folder / f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}"

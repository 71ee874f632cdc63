"""How far a command is: a bar with frames per second and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["Progress", "show_progress"]


class Progress:
    """Tells what is being done, and what came of it."""

    def __init__(self, bar: Bar | None, *, talk: bool) -> None:
        self._bar = bar
        self._talk = talk
        self._task: TaskID | None = None

    def begin(self, what: str, total: int | None) -> None:
        """Start a new bar of `total` steps (None: nobody knows)."""
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=total, rate="")

    def advance(self) -> None:
        """One step is done."""
        if self._bar is not None and self._task is not None:
            speed = self._bar.tasks[0].speed
            self._bar.update(self._task, advance=1, rate=f"{speed:.1f}/s" if speed else "")

    def say(self, line: str) -> None:
        """Tell of a result, on the standard output; nothing if the user asked for quiet."""
        if self._talk:
            self._print(line, sys.stdout)

    def complain(self, line: str) -> None:
        """Tell of an error, or of something that the user should know, on the standard error stream."""
        self._print(f"posemask: {' '.join(line.split())}", sys.stderr)

    def _print(self, line: str, stream: TextIO) -> None:
        if self._bar is not None and stream.isatty():
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)  # above the bar
        else:
            print(line, file=stream, flush=True)


@contextmanager
def show_progress(*, quiet: bool, talk: bool) -> Iterator[Progress]:
    """Progress for the ``with`` block; a bar if the standard error stream is a terminal.

    Args:
        quiet: neither bar nor results, only errors.
        talk: tell of results; not when they themselves go to the standard output.
    """
    if quiet or not sys.stderr.isatty():
        yield Progress(None, talk=talk and not quiet)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        yield Progress(bar, talk=talk)

"""What the commands share: where they print, tables, JSON, and the bar that shows a fetch."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..weights import Progress

__all__ = ["AsJson", "fetch_bar", "print_json", "print_table"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_WIDTH_OF_A_FILE = 200  # a table that is not shown on a terminal is not squeezed into 80 columns


def print_json(value: Any) -> None:
    """Print a value as JSON, indented, readable by people too; in ASCII, which every stream takes."""
    print(json.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text in aligned columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=_WIDTH_OF_A_FILE).print(table)


@contextlib.contextmanager
def fetch_bar() -> Iterator[Progress]:
    """A bar for each file that is fetched in the ``with`` block; a line where there is no terminal to draw it on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console)
    tasks: dict[str, Any] = {}

    def progress(what: str, done: int, total: int | None) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=None)
            if console.is_terminal:
                bar.start()
            else:
                print(f"posemask: fetching: {what}", file=sys.stderr)
        bar.update(tasks[what], completed=done, total=total)

    try:
        yield progress
    finally:
        if tasks and console.is_terminal:
            bar.stop()

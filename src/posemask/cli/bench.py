"""``posemask bench``: how fast this machine is, alone or against a peer."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .console import AsJson, fetch_bar, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command ``bench``."""
    app.command("bench")(bench)


def bench(
    source: Annotated[
        Path | None,
        typer.Option("--input", "-i", help="Video or picture to make the 1280 × 720 frames from; else a photograph."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with this program, in alternation: mediapipe.", metavar="PEER")
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="Only rows whose name has these words; may be given several times.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Models: lite, full, heavy, general, landscape. Default: all.")
    ] = None,
    runtime: Annotated[list[str] | None, typer.Option(help="Runtimes; default: auto.")] = None,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="Numbers of threads; default: 1 and 2.")] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Also with decoding the input video.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="How often each has its turn.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.01, help="About how long a turn is.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Measure frames per second, processor time and memory.

    Every row runs in processes of its own, and what is compared runs in alternation. Close other programs first; the
    column "best" (the fastest tenth) is the least disturbed.
    """
    import numpy as np

    from .. import weights
    from ..bench import frames, report, work
    from ..bench import rounds as turns
    from ..bench.environment import environment

    if against not in (None, "mediapipe"):
        raise InputError(f"--against must be mediapipe, got {against!r}")
    if decode and (against or source is None):
        raise InputError("--decode needs a video (--input), and compares with nothing")
    chosen = (model or (), runtime or (), threads or ())
    rows = work.comparison(*chosen) if against else work.survey(*chosen, decode=decode)
    rows = tuple(one for one in rows if all(words in one.name for words in row or ()))
    if not rows:
        raise InputError(f"no row is called {' '.join(row or ())!r}")
    subjects = ("posemask", against) if against else ("posemask",)

    store = weights.default_store()
    with fetch_bar() as progress:
        for name in {name for one in rows for name in one.networks()}:
            store.path(name, progress)

    measured = []
    with tempfile.TemporaryDirectory(prefix="posemask-bench-") as folder:
        clip = Path(folder) / "clip.npy"
        np.save(clip, frames.clip(source, frames.FRAMES))
        with _progress(len(rows)) as advance:
            for one in rows:
                advance(one.name)
                measured.append(turns.measure(one, subjects, clip, video=source, rounds=rounds, seconds=seconds))
    facts = environment()
    if as_json:
        print_json(report.to_json(facts, str(source or "astronaut"), frames.SIZE_HW, measured))
        return
    if against:
        print_table(report.COMPARED, [line for ours, peer in measured for line in report.compared_rows(ours, peer)])
    else:
        print_table(report.SURVEYED, report.surveyed_rows([only for (only,) in measured]))
    print()
    print(report.environment_line(facts))


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on the standard error stream; call it with the name of each row before that row is measured."""
    from rich.console import Console
    from rich.progress import Progress

    # Drawn only between rows: a bar that moves by itself takes time from what is measured.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=total)
        done = -1

        def advance(name: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, description=name, completed=done, refresh=True)

        yield advance

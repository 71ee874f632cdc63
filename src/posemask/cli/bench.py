"""``posemask bench``: how fast this machine is, alone or against a peer."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, RuntimeUnavailableError
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
    device: Annotated[str, typer.Option(help="cpu, or cuda for networks, chains and calls on a GPU.")] = "cpu",
    streams: Annotated[
        list[int] | None, typer.Option(min=1, help="With cuda, numbers of streams; default: 1, 16, 64, 256 and 512.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure frames per second, processor time and memory.

    Every row runs in processes of its own, and what is compared runs in alternation. Close other programs first; the
    column "best" (the fastest tenth) is the least disturbed. On a GPU, times are the device's own; one with waiting is
    the host's, of a single go that is waited for.
    """
    if decode and (against or source is None):
        raise InputError("--decode needs a video (--input), and compares with nothing")
    if device.partition(":")[0] == "cuda":
        if against or runtime or threads:
            raise InputError("--device cuda goes with --model, --streams, --row, --input and --decode only")
        _bench_gpu(source, row or (), model or (), streams or (1, 16, 64, 256, 512), device, decode, as_json)
        return
    if device not in ("cpu", "auto") or streams:
        raise InputError(f"--device must be cpu or cuda, and --streams goes with cuda, got --device {device}")
    import numpy as np

    from ..bench import frames, report, work
    from ..bench import rounds as turns
    from ..bench.environment import environment

    if against not in (None, "mediapipe"):
        raise InputError(f"--against must be mediapipe, got {against!r}")
    chosen = (model or (), runtime or (), threads or ())
    rows = work.comparison(*chosen) if against else work.survey(*chosen, decode=decode)
    rows = tuple(one for one in rows if all(words in one.name for words in row or ()))
    if not rows:
        raise InputError(f"no row is called {' '.join(row or ())!r}")
    subjects = ("posemask", against) if against else ("posemask",)

    _fetch({name for one in rows for name in one.networks()})
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


def _bench_gpu(
    source: Path | None,
    words: Sequence[str],
    models: Sequence[str],
    streams: Sequence[int],
    device: str,
    decode: bool,
    as_json: bool,
) -> None:
    from ..bench import frames
    from ..bench.environment import environment

    try:
        from ..bench import on_gpu
    except ImportError as error:
        raise RuntimeUnavailableError(
            f'--device cuda needs PyTorch, which cannot be imported ({error}): pip install "posemask[torch]"'
        ) from error
    unknown = sorted(set(models) - set(on_gpu.MODELS))
    if unknown:
        raise InputError(f"--model must be one of {', '.join(on_gpu.MODELS)}, got {unknown[0]!r}")
    chosen = models or on_gpu.MODELS
    on_gpu.require_cuda(device)
    _fetch(on_gpu.networks_of(chosen))
    video = source if decode else None
    (frame,) = frames.clip(source, 1)
    rows = list(on_gpu.survey(chosen, streams, words, frame, device=device, video=video))
    if not rows:
        raise InputError(f"no row is called {' '.join(words)!r}")
    measured = []
    with _progress(len(rows)) as advance:
        for name, measure in rows:
            advance(name)
            measured.append(measure())
    facts = environment() | {"gpu": on_gpu.describe(device)}
    if as_json:
        picture = {"source": str(source or "astronaut"), "height": frame.shape[0], "width": frame.shape[1]}
        print_json({"environment": facts, "frames": picture, "rows": [one.to_dict() for one in measured]})
        return
    print_table(on_gpu.COLUMNS, [one.cells() for one in measured])
    print()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))


def _fetch(names: Iterable[str]) -> None:
    from .. import weights

    store = weights.default_store()
    with fetch_bar() as progress:
        for name in names:
            store.path(name, progress)


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

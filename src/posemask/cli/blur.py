"""``posemask blur``: the background out of focus."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command ``blur``."""
    app.command("blur")(blur)


def blur(
    inputs: options.Inputs,
    output: options.Output = None,
    strength: Annotated[float, typer.Option(min=1, max=100, help="How much; the same in every resolution.")] = 12,
    edge: options.Edge = "0.4,0.9",
    model: options.PeopleModel = options.PeopleType.general,
    max_poses: options.MaxPoses = 1,
    no_smooth: options.NoSmooth = False,
    start: options.Start = 0.0,
    end: options.End = None,
    frames: options.Frames = False,
    runtime: options.Runtime = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> int:
    """Blur the background behind people."""
    from .. import effects
    from .picture_command import run
    from .processing import Settings

    fade = options.parse_edge(edge)
    return run(
        inputs,
        output,
        lambda image, people, time: effects.blur_background(image, people, strength=strength, edge=fade),
        model=model,
        max_poses=max_poses,
        no_smooth=no_smooth,
        runtime=runtime,
        device=device,
        threads=threads,
        frames=frames,
        settings=Settings(start=start, end=end, overwrite=overwrite, quiet=quiet),
    )

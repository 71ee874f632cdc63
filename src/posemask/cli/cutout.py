"""``posemask cutout``: people on nothing, with alpha."""

from __future__ import annotations

import typer

from . import options

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command ``cutout``."""
    app.command("cutout")(cutout)


def cutout(
    inputs: options.Inputs,
    output: options.Output = None,
    edge: options.Edge = "0.4,0.9",
    model: options.PeopleModel = options.PeopleType.general,
    max_poses: options.MaxPoses = 1,
    search: options.Search = options.SearchType.fast,
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
    """Cut people out: PNG or WebP with alpha, videos as ProRes 4444 (.mov) or VP9 (.webm)."""
    from .. import effects
    from .picture_command import run
    from .processing import Settings

    fade = options.parse_edge(edge)
    return run(
        inputs,
        output,
        lambda image, people, time: effects.cut_out(image, people, edge=fade),
        model=model,
        max_poses=max_poses,
        search=search,
        no_smooth=no_smooth,
        runtime=runtime,
        device=device,
        threads=threads,
        frames=frames,
        settings=Settings(start=start, end=end, overwrite=overwrite, quiet=quiet),
        picture_suffix=".png",
        video_suffix=".mov",
        alpha=True,
    )

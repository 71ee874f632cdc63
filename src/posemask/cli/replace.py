"""``posemask replace``: another background."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command ``replace``."""
    app.command("replace")(replace)


def replace(
    inputs: options.Inputs,
    background: Annotated[
        str,
        typer.Option(
            "--background", "-b", help="A picture, a video (repeated if it is short), or a colour: green, #00ff80."
        ),
    ],
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
    """Put people before another background."""
    from .. import effects
    from .background import open_background
    from .picture_command import run
    from .processing import Settings, quiet_libraries

    fade = options.parse_edge(edge)
    with quiet_libraries(), open_background(background) as behind:
        return run(
            inputs,
            output,
            lambda image, people, time: effects.replace_background(
                image, people, behind(image.shape[:2], time), edge=fade
            ),
            model=model,
            max_poses=max_poses,
            search=search,
            no_smooth=no_smooth,
            runtime=runtime,
            device=device,
            threads=threads,
            frames=frames,
            settings=Settings(start=start, end=end, overwrite=overwrite, quiet=quiet),
        )

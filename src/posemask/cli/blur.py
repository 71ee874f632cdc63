"""``posemask blur``: the background out of focus, or parts of people, such as faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from ..results import Segmentation

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command ``blur``."""
    app.command("blur")(blur)


def blur(
    inputs: options.Inputs,
    output: options.Output = None,
    strength: Annotated[float, typer.Option(min=1, max=100, help="How much; the same in every resolution.")] = 12,
    edge: options.Edge = "0.4,0.9",
    parts: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="Blur these parts of people instead, for instance left_face,right_face (BlazePose, BodyPix).",
        ),
    ] = None,
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
    """Blur the background behind people, or parts of them."""
    from .. import effects
    from .picture_command import Draw, run
    from .processing import Settings

    fade = options.parse_edge(edge)
    chosen = None if parts is None else options.parse_parts(parts)
    draw: Draw
    if chosen is None:

        def draw(image: Any, people: Sequence[Segmentation], time: float | None) -> Any:
            return effects.blur_background(image, people, strength=strength, edge=fade)
    else:
        if model in (options.PeopleType.general, options.PeopleType.landscape):
            model = options.PeopleType.blazepose  # the others know no parts

        def draw(image: Any, people: Sequence[Segmentation], time: float | None) -> Any:
            return effects.blur_parts(image, people, chosen, strength=strength)

    return run(
        inputs,
        output,
        draw,
        model=model,
        parts=chosen is not None,
        max_poses=max_poses,
        search=search,
        no_smooth=no_smooth,
        runtime=runtime,
        device=device,
        threads=threads,
        frames=frames,
        settings=Settings(start=start, end=end, overwrite=overwrite, quiet=quiet),
    )

"""``posemask mask``: which pixels are people, as grey pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from ..results import Segmentation

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command ``mask``."""
    app.command("mask")(mask)


def mask(
    inputs: options.Inputs,
    output: options.Output = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="White from this probability on, black below; grey if not given."),
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
    """Show which pixels are people: white, and grey where it is not certain."""
    import numpy as np

    from .picture_command import run
    from .processing import Settings

    def draw(image: Any, people: Sequence[Segmentation], time: float | None) -> Any:
        probabilities = np.zeros(image.shape[:2], np.float32)
        for person in people:
            np.maximum(probabilities, person.mask, out=probabilities)
        return probabilities if threshold is None else probabilities >= threshold

    return run(
        inputs,
        output,
        draw,
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
    )

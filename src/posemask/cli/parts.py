"""``posemask parts``: which part of the body each pixel is, in colours, as numbers, or counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from ..errors import InputError
from . import options

__all__ = ["register"]

_WITH_PARTS = (options.PeopleType.blazepose, options.PeopleType.bodypix)


def register(app: typer.Typer) -> None:
    """Add the command ``parts``."""
    app.command("parts")(parts)


def parts(
    inputs: options.Inputs,
    output: options.Output = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Grey pictures of the parts' numbers, 0-23, and 24 where nobody is.")
    ] = False,
    json: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Write keypoints and each part's area and visibility here, too; - prints them."
        ),
    ] = None,
    model: options.PeopleModel = options.PeopleType.blazepose,
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
    """Show the 24 parts of people's bodies."""
    import numpy as np

    from .. import effects
    from ..bodies import NO_PART
    from .files import Destination, find_sources
    from .processing import Job, JsonOutput, Output, PictureOutput, Result, Settings, process

    if model not in _WITH_PARTS:
        raise InputError(f"--model {model.value} knows no parts of the body; take blazepose or bodypix")
    if json is not None and model is not options.PeopleType.blazepose:
        raise InputError("--json needs --model blazepose, which tells people apart")
    sources = find_sources(inputs)
    several = len(sources) > 1
    suffix = ".png" if labels else None
    outputs: list[Output] = [PictureOutput(Destination(output, several, suffix, "" if frames or labels else None))]
    if json is not None:
        outputs.append(JsonOutput(Destination(json, several, ".json", ".json"), "blazepose full"))

    def load(threads: int | None) -> Job:
        find, reset = options.people_finder(
            model,
            max_poses=max_poses,
            search=search,
            smooth=not no_smooth,
            parts=True,
            runtime=runtime,
            device=device,
            threads=threads,
        )

        def work(image: Any, time: float | None) -> Result:
            people = find(image, time)
            if labels:
                nobody = np.full(image.shape[:2], NO_PART, np.uint8)
                picture = np.minimum.reduce([nobody, *(np.asarray(person.part_labels) for person in people)])
            else:
                picture = effects.draw_parts(image, people)
            poses = [replace(person.pose, segmentation=person) for person in people if person.pose is not None]
            return Result(picture=picture, poses=poses)

        return Job(work=work, reset=reset)

    settings = Settings(start=start, end=end, overwrite=overwrite, quiet=quiet)
    workers = options.workers(runtime, device, threads)
    return process(sources, load, outputs, settings, threads=threads, workers=workers)

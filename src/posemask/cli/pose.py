"""``posemask pose``: keypoints as JSON, or drawn as skeletons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import options

__all__ = ["register"]

_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")


def register(app: typer.Typer) -> None:
    """Add the command ``pose``."""
    app.command("pose")(pose)


def pose(
    inputs: options.Inputs,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Keypoints as .json or .jsonl, or drawn, by the suffix; a folder is for keypoints.",
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write the keypoints here, too; - prints them.")
    ] = None,
    render: Annotated[str | None, typer.Option(metavar="PATH", help="Write the drawn skeletons here, too.")] = None,
    model: options.PoseModel = options.PoseType.full,
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
    """Find where bodies are: 33 keypoints of each person, in pixels and in metres."""
    from .. import effects
    from .files import Destination, find_sources
    from .processing import Job, JsonOutput, Output, PictureOutput, Result, Settings, process

    sources = find_sources(inputs)
    several = len(sources) > 1
    documents, drawings = [json] if json else [], [render] if render else []
    if output is not None and Path(output).suffix and Path(output).suffix.lower() not in _JSON_SUFFIXES:
        drawings.append(output)
    elif output is not None or not (documents or drawings):
        documents.append(output)  # type: ignore[arg-type]
    outputs: list[Output] = [
        *(JsonOutput(Destination(to, several, ".json", ".json"), f"blazepose {model.value}") for to in documents),
        *(PictureOutput(Destination(to, several, None, "" if frames else None)) for to in drawings),
    ]

    def load(threads: int | None) -> Job:
        detector = options.pose_detector(
            model, search=search, smooth=not no_smooth, runtime=runtime, device=device, threads=threads
        )

        def work(image: Any, time: float | None) -> Result:
            poses = detector.estimate_poses(image, timestamp=time, max_poses=max_poses)
            return Result(poses=poses, picture=effects.draw_skeleton(image, poses) if drawings else None)

        return Job(work=work, reset=detector.reset)

    settings = Settings(start=start, end=end, overwrite=overwrite, quiet=quiet)
    workers = options.workers(runtime, device, threads)
    return process(sources, load, outputs, settings, threads=threads, workers=workers)

"""Options that several commands take, as the types of their parameters, and the models that they choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError

if TYPE_CHECKING:
    from ..api import PoseDetector
    from ..results import Segmentation

__all__ = [
    "Device",
    "Edge",
    "End",
    "Frames",
    "Inputs",
    "MaxPoses",
    "NoSmooth",
    "Output",
    "Overwrite",
    "PeopleModel",
    "PoseModel",
    "Quiet",
    "Runtime",
    "Search",
    "SearchType",
    "Start",
    "Threads",
    "parse_edge",
    "parse_parts",
    "people_finder",
    "pose_detector",
]

Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT", help="Pictures, videos, folders, patterns; - is a picture on standard input."),
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="PATH", help="A file, or a folder; beside the input if not given."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Start = Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="Begin a video here.")]
End = Annotated[float | None, typer.Option(min=0.0, metavar="SECONDS", help="Stop a video here.")]
Frames = Annotated[bool, typer.Option("--frames", help="Write a video as a folder of PNG files.")]
Runtime = Annotated[str, typer.Option(help="What runs the networks; see `posemask doctor`.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads for the networks.")]
MaxPoses = Annotated[int, typer.Option(min=1, help="How many people to look for with BlazePose.")]
NoSmooth = Annotated[bool, typer.Option("--no-smooth", help="Do not smooth over time in videos.")]


class PoseType(str, Enum):
    """BlazePose's networks."""

    lite = "lite"
    full = "full"
    heavy = "heavy"


class PeopleType(str, Enum):
    """Models that find the pixels of people."""

    general = "general"
    landscape = "landscape"
    blazepose = "blazepose"
    bodypix = "bodypix"


class SearchType(str, Enum):
    """How BlazePose looks for people."""

    fast = "fast"
    thorough = "thorough"


Search = Annotated[
    SearchType,
    typer.Option(help="thorough: BlazePose finds more of --max-poses people, small and half hidden ones; slow."),
]
PoseModel = Annotated[PoseType, typer.Option(help="Faster, or more exact.")]
PeopleModel = Annotated[
    PeopleType,
    typer.Option(
        help="Selfie Segmentation for people near the camera (general; landscape is faster), "
        "BlazePose for one person at any distance, BodyPix for many."
    ),
]
Edge = Annotated[
    str, typer.Option(metavar="LOW,HIGH", help="Probabilities in [0, 1] between which people fade into the background.")
]


def pose_detector(
    model: PoseType,
    *,
    search: SearchType,
    smooth: bool,
    masks: bool = False,
    runtime: str,
    device: str,
    threads: int | None,
) -> PoseDetector:
    """BlazePose; a bar shows the fetch of its weights if they are not there."""
    from .. import create_detector

    _fetch_blazepose(model, search)
    return create_detector(
        "blazepose",
        model_type=model.value,
        search=search.value,
        enable_smoothing=smooth,
        enable_segmentation=masks,
        smooth_segmentation=smooth,
        runtime=runtime,
        device=device,
        threads=threads,
    )


def workers(runtime: str, device: str, threads: int | None) -> int:
    """How many unrelated pictures to work on at once: on the CPU as many as there are threads, each with one."""
    from ..runtimes import default_threads

    if runtime == "mediapipe" or device not in ("auto", "cpu"):
        return 1
    return default_threads() if threads is None else threads


Find = Callable[[Any, float | None], Sequence["Segmentation"]]
"""A picture (H, W, 3) uint8 RGB and its time in seconds, or None -> the people in it."""


def people_finder(
    model: PeopleType,
    *,
    max_poses: int,
    search: SearchType,
    smooth: bool,
    parts: bool = False,
    runtime: str,
    device: str,
    threads: int | None,
) -> tuple[Find, Callable[[], None]]:
    """What finds the pixels of people, with the parts of their bodies if wanted, and how it forgets a video."""
    from .. import create_segmenter
    from ..models.bodypix import BodyPixSpec
    from ..models.selfie import MODEL_TYPES

    if search is not SearchType.fast and model is not PeopleType.blazepose:
        raise InputError(f"--search {search.value} is BlazePose's: take it with --model blazepose, not {model.value}")
    place: dict[str, Any] = {"runtime": runtime, "device": device, "threads": threads}
    wanted = {"segment_body_parts": True} if parts else {}
    if model is PeopleType.blazepose and not parts:
        detector = pose_detector(PoseType.full, search=search, smooth=smooth, masks=True, **place)

        def find_poses(image: Any, time: float | None) -> Sequence[Segmentation]:
            poses = detector.estimate_poses(image, timestamp=time, max_poses=max_poses)
            return [pose.segmentation for pose in poses if pose.segmentation is not None]

        return find_poses, detector.reset
    if model is PeopleType.blazepose:
        _fetch_blazepose(PoseType.full, search)
        wanted["multi_segmentation"] = True  # people one by one, with their poses
        segmenter = create_segmenter(
            "blazepose",
            max_poses=max_poses,
            search=search.value,
            enable_smoothing=smooth,
            smooth_segmentation=smooth,
            **place,
        )
    elif model is PeopleType.bodypix:
        _fetch(BodyPixSpec().weights)
        segmenter = create_segmenter("bodypix", **place)
    else:
        _fetch(MODEL_TYPES[model.value].weights)
        segmenter = create_segmenter("selfie_segmentation", model_type=model.value, smooth_segmentation=smooth, **place)

    def find(image: Any, time: float | None) -> Sequence[Segmentation]:
        return segmenter.segment_people(image, timestamp=time, **wanted)

    return find, segmenter.reset


def parse_parts(text: str) -> tuple[int, ...]:
    """Names of body parts with commas between, as their numbers."""
    from ..bodies import PARTS

    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise InputError(f"there is no body part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return tuple(PARTS.index(name) for name in names)


def parse_edge(text: str) -> tuple[float, float]:
    """Two probabilities with a comma between, the first not above the second."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0.0 <= low <= high <= 1.0:
        raise InputError(f"--edge must be two probabilities such as 0.4,0.9, the smaller first, got {text!r}")
    return low, high


def _fetch_blazepose(model: PoseType, search: SearchType) -> None:
    from ..models.blazepose import MODEL_TYPES
    from ..models.faces import FACE_DETECTORS

    spec = MODEL_TYPES[model.value]
    faces = FACE_DETECTORS if search is SearchType.thorough else ()
    _fetch(spec.detector, spec.landmarks, *(face.weights for face in faces))


def _fetch(*names: str) -> None:
    from .. import weights
    from .console import fetch_bar

    with fetch_bar() as progress:
        for name in names:
            weights.path(name, progress)

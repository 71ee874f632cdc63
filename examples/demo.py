"""What posemask does, on one picture or video: skeleton, mask, blurred and replaced background.

    python examples/demo.py [INPUT] [-o FOLDER]

Without INPUT it takes scikit-image's photograph of the astronaut Eileen Collins. The results go to demo-output/.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import posemask
from posemask import effects
from posemask.media import is_video

console = Console()


class Stopwatch:
    """Collects how long each stage takes; a stage's time is the median of its runs."""

    def __init__(self) -> None:
        self.runs: dict[str, list[float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.runs.setdefault(name, []).append(time.perf_counter() - started)

    def table(self) -> Table:
        table = Table(title="Time per stage (median)")
        table.add_column("stage")
        table.add_column("ms", justify="right")
        for name, seconds in self.runs.items():
            table.add_row(name, f"{1000 * np.median(seconds):.1f}")
        return table


def evening_by_the_sea(height: int, width: int) -> np.ndarray:
    """A background that needs no licence: an evening sky over the sea."""
    rows = np.linspace(0, 1, height)[:, None]
    stops = np.array([0.0, 0.45, 0.62, 0.63, 1.0])
    colors = np.array([[38, 46, 104], [214, 110, 122], [255, 196, 128], [52, 92, 132], [16, 36, 70]])
    sky = np.stack([np.interp(rows, stops, colors[:, c]) for c in range(3)], axis=-1)
    glow = np.exp(-(((np.arange(width) / width - 0.7) / 0.25) ** 2))[None, :, None] * 30
    return np.clip(sky + glow, 0, 255).astype(np.uint8)


EVENING = evening_by_the_sea(720, 1280)


def rendered(
    image: np.ndarray, pose: posemask.PoseDetector, selfie: posemask.Segmenter, watch: Stopwatch, when: float | None
) -> tuple[dict[str, np.ndarray], list[posemask.Pose]]:
    """Runs both models on one picture and draws everything that we show."""
    with watch.stage("BlazePose full with mask"):
        poses = pose.estimate_poses(image, timestamp=when)
    with watch.stage("Selfie Segmentation"):
        people = selfie.segment_people(image, timestamp=when)
    bodies = [found.segmentation for found in poses if found.segmentation is not None]
    pictures = {}

    def draw(name: str, make: Callable[[], np.ndarray]) -> None:
        with watch.stage(f"draw: {name}"):
            pictures[name] = make()

    mask = effects.to_binary_mask(bodies, foreground=(255, 255, 255, 255)) if bodies else None
    draw("skeleton", lambda: effects.draw_skeleton(image, poses))
    draw("mask", lambda: np.zeros_like(image) if mask is None else np.ascontiguousarray(mask[..., :3]))
    draw("blurred", lambda: effects.blur_background(image, people))
    draw("replaced", lambda: effects.replace_background(image, people, EVENING))
    return pictures, poses


def keypoint_table(pose: posemask.Pose) -> Table:
    table = Table(title=f"33 keypoints (score of the person: {pose.score:.3f})")
    for column in ("keypoint", "x px", "y px", "z px", "visibility", "X m", "Y m", "Z m"):
        table.add_column(column, justify="left" if column == "keypoint" else "right", no_wrap=column == "keypoint")
    for keypoint, metres in zip(pose, pose.world, strict=True):
        place = (f"{value:.1f}" for value in (keypoint.x, keypoint.y, keypoint.z))
        table.add_row(keypoint.name, *place, f"{keypoint.score:.2f}", *(f"{value:+.2f}" for value in metres))
    return table


def show_picture(image: np.ndarray, folder: Path, watch: Stopwatch) -> list[Path]:
    pose, selfie = load_models(watch)
    for _ in range(5):  # the first run warms up; the times are medians
        pictures, poses = rendered(image, pose, selfie, watch, None)
    console.print(keypoint_table(poses[0]) if poses else "Nobody was found.")
    paths = []
    for name, picture in pictures.items():
        paths.append(folder / f"{name}.png")
        posemask.write_image(paths[-1], picture, overwrite=True)
    return paths


def show_video(path: Path, folder: Path, watch: Stopwatch) -> list[Path]:
    pose, selfie = load_models(watch)
    names = ("skeleton", "mask", "blurred", "replaced")
    poses: list[posemask.Pose] = []
    with ExitStack() as stack:
        video = stack.enter_context(posemask.read_video(path))
        paths = {name: folder / f"{name}.mp4" for name in names}
        writers = {
            name: stack.enter_context(posemask.VideoWriter(paths[name], like=video, overwrite=True)) for name in names
        }
        for frame in track(video, total=video.frame_count, description=path.name, console=console):
            pictures, found = rendered(frame.image, pose, selfie, watch, frame.time)
            poses = found or poses
            for name, writer in writers.items():
                with watch.stage(f"encode: {name}"):
                    writer.write(pictures[name], frame.time)
    console.print(keypoint_table(poses[0]) if poses else "Nobody was found.")
    return list(paths.values())


def load_models(watch: Stopwatch) -> tuple[posemask.PoseDetector, posemask.Segmenter]:
    with watch.stage("load the networks"):
        return (
            posemask.create_detector("blazepose", model_type="full", enable_segmentation=True),
            posemask.create_segmenter("selfie_segmentation", model_type="general"),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", nargs="?", type=Path, help="a picture or a video")
    parser.add_argument("-o", "--output", type=Path, default=Path("demo-output"), help="folder for the results")
    arguments = parser.parse_args()
    watch = Stopwatch()
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        if arguments.input is not None and is_video(arguments.input):
            paths = show_video(arguments.input, arguments.output, watch)
        else:
            with watch.stage("read the picture"):
                image = posemask.read_image(astronaut() if arguments.input is None else arguments.input)
            paths = show_picture(image, arguments.output, watch)
    except (posemask.PosemaskError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(watch.table())
    console.print("Pictures to look at:", *(f"  {path}" for path in paths), sep="\n")
    return 0


def astronaut() -> np.ndarray:
    from skimage import data

    return np.asarray(data.astronaut())


if __name__ == "__main__":
    sys.exit(main())

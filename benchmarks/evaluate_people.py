"""How many annotated people are found in pictures of several, and how many are invented where there is nobody.

    python benchmarks/evaluate_people.py [--data FOLDER] [--model-type full] [--search fast thorough] [--draw FOLDER]
    python benchmarks/evaluate_people.py --runtime mediapipe --search fast --max-poses 5
    python benchmarks/evaluate_people.py --without-people FOLDER  # of more pictures in which nobody is

Annotations: COCO's keypoints (``coco8_pose``), boxes of pedestrians (``pennfudan``), and three boxes drawn by hand
(``three_people.jpg``). A pose finds an annotated person if the box around its keypoints, cut at the picture's edge, has
an intersection over union of at least 0.4 with the annotated box, or its object keypoint similarity is above 0.5. Each
pose finds one person at most. "Unmatched" poses may be people that nobody annotated: look at them with --draw.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemask import Pose, PoseDetector, create_detector, read_image
from posemask.bodies import BLAZEPOSE, COCO_FROM_BLAZEPOSE
from posemask.numbers.people import SIGMAS

SAME_BOX, SAME_KEYPOINTS = 0.4, 0.5
THREE_PEOPLE = ((0, 0, 330, 861), (95, 325, 660, 861), (718, 30, 1049, 861))
WITHOUT_PEOPLE = ("images/backgrounds/porch-691330_1280.jpg", "images/backgrounds/shibuyasky-4768679_1280.jpg")
SKIMAGE_WITHOUT_PEOPLE = (
    "chelsea",
    "coffee",
    "colorwheel",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
)


@dataclass(frozen=True)
class Person:
    """An annotated person: box xyxy in pixels, and (17, 3) keypoints x, y, flag where they are known."""

    box: np.ndarray
    keypoints: np.ndarray | None = None


def coco(data: Path) -> dict[str, list[Person]]:
    people = {}
    for file in sorted(data.glob("groundtruth/coco8_pose/labels/*/*.txt")):
        picture = data / f"groundtruth/coco8_pose/images/{file.parent.name}/{file.stem}.jpg"
        height, width = read_image(picture).shape[:2]
        rows = np.loadtxt(file, ndmin=2)
        centers, sizes = rows[:, 1:3] * [width, height], rows[:, 3:5] * [width, height]
        boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
        keypoints = rows[:, 5:].reshape(-1, 17, 3) * [width, height, 1]
        people[str(picture.relative_to(data))] = [Person(*pair) for pair in zip(boxes, keypoints, strict=True)]
    return people


def pennfudan(data: Path) -> dict[str, list[Person]]:
    people = {}
    for file in sorted(data.glob("groundtruth/pennfudan/public/Annotation/*.txt")):
        corners = re.findall(r"\((\d+), (\d+)\) - \((\d+), (\d+)\)", file.read_text(encoding="latin-1"))
        boxes = [Person(np.array(row, float) - 1) for row in corners]
        people[f"groundtruth/pennfudan/public/PNGImages/{file.stem}.png"] = boxes
    return people


def annotated(data: Path) -> dict[str, dict[str, list[Person]]]:
    three = {"groundtruth/tfjs_bodypix/three_people.jpg": [Person(np.array(box, float)) for box in THREE_PEOPLE]}
    return {"coco8_pose": coco(data), "pennfudan": pennfudan(data), "three_people": three}


def without_people(data: Path, more: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    files = [data / name for name in WITHOUT_PEOPLE] + (sorted(more.iterdir()) if more else [])
    for file in files:
        yield file.name, read_image(file)
    try:
        import skimage.data
    except ImportError:
        return
    for name in SKIMAGE_WITHOUT_PEOPLE:
        yield f"skimage_{name}", read_image(getattr(skimage.data, name)())


def likeness(pose: Pose, person: Person, size_hw: tuple[int, int]) -> float:
    """In [0, 1]; 0 if the pose is not that person."""
    xy = np.asarray(pose.xy, float)
    inside = np.clip(xy, 0, [size_hw[1], size_hw[0]])
    low = np.maximum(inside.min(axis=0), person.box[:2])
    high = np.minimum(inside.max(axis=0), person.box[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    union = np.prod(np.ptp(inside, axis=0)) + np.prod(person.box[2:] - person.box[:2]) - shared
    overlap = float(shared / union)
    alike = 0.0
    if person.keypoints is not None and np.count_nonzero(person.keypoints[:, 2]) >= 3:
        known = person.keypoints[:, 2] > 0
        area = 0.53 * np.prod(person.box[2:] - person.box[:2])  # COCO's areas are of masks, not of boxes
        distance2 = ((xy[list(COCO_FROM_BLAZEPOSE)] - person.keypoints[:, :2]) ** 2).sum(axis=1)
        alike = float(np.exp(-distance2 / (2 * area * (2 * SIGMAS) ** 2))[known].mean())
    return max(overlap if overlap >= SAME_BOX else 0.0, alike if alike > SAME_KEYPOINTS else 0.0)


def match(poses: list[Pose], people: list[Person], size_hw: tuple[int, int]) -> int:
    """How many people are found, the most alike pairs first."""
    pairs = sorted(
        ((likeness(pose, person, size_hw), i, j) for i, pose in enumerate(poses) for j, person in enumerate(people)),
        reverse=True,
    )
    used_poses: set[int] = set()
    found: set[int] = set()
    for alike, i, j in pairs:
        if alike > 0 and i not in used_poses and j not in found:
            used_poses.add(i)
            found.add(j)
    return len(found)


def draw(image: np.ndarray, poses: list[Pose], people: list[Person], path: Path) -> None:
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(np.array(image))
    pen = ImageDraw.Draw(canvas)
    for person in people:
        pen.rectangle([float(v) for v in person.box], outline=(255, 255, 255))
    colors = ((255, 0, 0), (0, 255, 0), (0, 128, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255))
    for number, pose in enumerate(poses):
        for a, b in BLAZEPOSE.edges:
            pen.line([tuple(pose.xy[a].tolist()), tuple(pose.xy[b].tolist())], fill=colors[number % 6], width=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)


def evaluate(detector: PoseDetector, data: Path, more: Path | None, max_poses: int, drawings: Path | None) -> None:
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    seconds = []
    for group, pictures in annotated(data).items():
        for name, people in pictures.items():
            image = read_image(data / name)
            start = time.perf_counter()
            poses = detector.estimate_poses(image, max_poses=max_poses)
            seconds.append(time.perf_counter() - start)
            right = match(poses, people, image.shape[:2])
            found[group] = [a + b for a, b in zip(found[group], (right, len(people), len(poses) - right), strict=True)]
            if drawings:
                draw(image, poses, people, drawings / f"{Path(name).stem}.png")
    for group, (right, total, unmatched) in found.items():
        print(f"  {group:14} {right:3} of {total:3} found ({right / total:4.0%}), {unmatched} unmatched")
    invented = pictures = 0
    for name, image in without_people(data, more):
        poses = detector.estimate_poses(image, max_poses=max_poses)
        invented, pictures = invented + len(poses), pictures + 1
        if drawings and poses:
            draw(image, poses, [], drawings / f"invented_{Path(name).stem}.png")
    print(f"  {invented} invented in {pictures} pictures without people")
    print(f"  annotated pictures: {np.median(seconds):.2f} s each (median), {np.max(seconds):.2f} s at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--model-type", default="full")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--search", nargs="+", default=["fast", "thorough"])
    parser.add_argument("--max-poses", type=int, default=20)
    parser.add_argument("--without-people", type=Path, help="a folder of pictures in which nobody is")
    parser.add_argument("--draw", type=Path, help="a folder for pictures of what was found")
    arguments = parser.parse_args()
    for search in arguments.search:
        detector = create_detector(
            "blazepose", model_type=arguments.model_type, search=search, runtime=arguments.runtime
        )
        print(f"{arguments.model_type}, search={search!r}, max_poses={arguments.max_poses}")
        drawings = arguments.draw and arguments.draw / search
        evaluate(detector, arguments.data, arguments.without_people, arguments.max_poses, drawings)


if __name__ == "__main__":
    main()

"""The 24 parts of the body from BlazePose and from BodyPix, against annotations made by people and against each other.

    python benchmarks/evaluate_parts.py [--data FOLDER] [--model-type full] [--bodypix FOLDER-OR-URL] [--quant-bytes 2]

The sizes of the bones were adjusted on every second picture of ccp ("tuned"); the others tell how good they are.

Annotations: 24 pictures of ``ccp`` (Clothing Co-Parsing), one full body each, labelled as 59 kinds of clothing, skin
and hair. They are mapped to four groups, and the parts to the same:

    head   hair, hat, glasses, sunglasses, earrings; skin that touches these, above the highest upper clothes
    upper  upper clothes without coats and dresses; skin that is neither of the head nor of the legs
    legs   trousers, shorts, leggings, tights, socks; skin whose middle lies in the lower 45 % of the person
    feet   shoes of all kinds but boots

What covers parts of several groups (dresses, coats, suits, skirts, boots) and what is no body (bags, belts, jewellery)
counts neither for nor against. IoU is over all pictures together, and as the mean over pictures.
"Sides": of the pixels of ``schp_single`` that another model calls left or right arm (LIP), how many have that side;
and of BlazePose's keypoints of limbs with visibility >= 0.8, how many lie on a part of the other side: there the 3D
pose has the other limb in front, and whether that is true only a look at the picture can say.
"Turned": the picture is turned by 90, 180 and 270 degrees, and its labels back.
"Steady": of the pixels of a video that look the same in two frames running (no channel further apart than 6) and are
the person's in both, how many change their part; in the video, and in its first frame repeated with noise (sigma 4).
Times are of all that parts cost at the picture's size, and of pasting the mask alone, which a part of it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemask import Segmentation, Segmenter, create_segmenter, read_image, read_video
from posemask.bodies import NO_PART, PARTS
from posemask.models.pose_segments import part_labels

Labels = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.uint8]
GROUPS = ("head", "upper", "legs", "feet")
HEAD = ("hair", "hat", "glasses", "sunglasses", "earrings")
UPPER = (
    "blazer", "blouse", "cardigan", "hoodie", "jacket", "jumper", "shirt", "sweater", "sweatshirt", "t-shirt", "top",
    "vest", "tie", "scarf", "necklace", "bra",
)  # fmt: skip
LEGS = ("jeans", "pants", "leggings", "shorts", "tights", "stockings", "socks")
FEET = ("shoes", "flats", "heels", "loafers", "pumps", "sandals", "sneakers", "wedges", "clogs")
COVERING = ("dress", "coat", "suit", "romper", "cape", "bodysuit")
IGNORED = 255
GROUP_OF_PART = np.array([1] * 2 + [2] * 12 + [3] * 8 + [4] * 2 + [0])
SIDE_OF_PART = np.array(
    [1 if part.startswith("left") else 2 if part.startswith("right") else 0 for part in (*PARTS, "")]
)
LIMB_KEYPOINTS = ("elbow", "wrist", "index", "pinky", "knee", "ankle", "heel", "foot_index")


def annotated_groups(data: Path, stem: str) -> npt.NDArray[np.uint8]:
    """(H, W): 0 nobody, 1-4 a group, `IGNORED`."""
    from scipy import io, ndimage

    folder = data / "groundtruth/ccp"
    names = [str(name[0]) for name in io.loadmat(folder / "label_list.mat")["label_list"][0]]
    kinds = io.loadmat(folder / f"public/pixel-level/{stem}.mat")["groundtruth"].astype(int)
    table = np.full(len(names), IGNORED, np.uint8)
    table[0] = 0
    for number, members in enumerate((HEAD, UPPER, LEGS, FEET), start=1):
        table[[names.index(name) for name in members]] = number
    groups = table[kinds]

    rows = np.nonzero(kinds > 0)[0]
    top, bottom = rows.min(), rows.max()
    clothed = np.isin(kinds, [names.index(name) for name in UPPER + COVERING]).any(axis=1)
    neck = int(np.argmax(clothed)) if clothed.any() else top
    near_head = ndimage.binary_dilation(groups == 1, iterations=3)
    patches, count = ndimage.label(kinds == names.index("skin"))
    above = np.arange(len(kinds))[:, None] < neck
    for patch in range(1, count + 1):
        skin = patches == patch
        if (skin & near_head).any():
            groups[skin & above], groups[skin & ~above] = 1, IGNORED
        else:
            groups[skin] = 3 if np.nonzero(skin)[0].mean() > top + 0.55 * (bottom - top) else 2
    return groups


def overlaps(labels: Labels, groups: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(4, 2) pixels of each group's intersection and union."""
    counts, known = GROUP_OF_PART[labels], groups != IGNORED
    rows = []
    for group in range(1, 5):
        a, b = (counts == group) & known, (groups == group) & known
        rows.append([np.count_nonzero(a & b), np.count_nonzero(a | b)])
    return np.array(rows, float)


def labels_of(people: Sequence[Segmentation], like: Labels | None = None) -> Labels:
    """The labels of the one person who shares most pixels with ``like``, or of the largest."""

    def shared(person: Segmentation) -> int:
        own = np.asarray(person.part_labels) != NO_PART
        return int(np.count_nonzero(own & (like != NO_PART) if like is not None else own))

    return np.asarray(max(people, key=shared).part_labels)


def swapped_keypoints(person: Segmentation) -> tuple[list[str], int]:
    """Which visible keypoints of limbs lie on a part of the other side, and how many there are."""
    assert person.pose is not None
    labels = np.asarray(person.part_labels)
    swapped, total = [], 0
    for side, other in (("left", "right"), ("right", "left")):
        for name in LIMB_KEYPOINTS:
            keypoint = person.pose[f"{side}_{name}"]
            column, row = round(keypoint.x), round(keypoint.y)
            inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
            if keypoint.score >= 0.8 and inside and labels[row, column] != NO_PART:
                total += 1
                if PARTS[labels[row, column]].startswith(other):
                    swapped.append(keypoint.name)
    return swapped, total


@dataclasses.dataclass
class Turned:
    """What becomes of a segmenter's labels when pictures are turned; counts."""

    lost: int = 0
    pictures: int = 0
    person: int = 0
    same: int = 0
    sides: int = 0
    same_side: int = 0

    def add(self, labels: Labels, turned: Labels | None) -> None:
        self.pictures += 1
        if turned is None or not (turned != NO_PART).any():
            self.lost += 1
            return
        both = (labels != NO_PART) & (turned != NO_PART)
        sided = (SIDE_OF_PART[labels] > 0) & (SIDE_OF_PART[turned] > 0)
        self.person += np.count_nonzero(both)
        self.same += np.count_nonzero((labels == turned) & both)
        self.sides += np.count_nonzero(sided)
        self.same_side += np.count_nonzero((SIDE_OF_PART[labels] == SIDE_OF_PART[turned]) & sided)

    def __str__(self) -> str:
        found = f"nobody found in {self.lost} of {self.pictures}"
        if not self.person:
            return found
        return f"{found}, same part {self.same / self.person:.1%}, same side {self.same_side / self.sides:.1%}"


def times_of(person: Segmentation, repeats: int = 15) -> tuple[float, float]:
    """The shortest of several times, in milliseconds: of the parts, of the mask."""
    assert person.pose is not None
    pose = dataclasses.replace(person.pose, segmentation=person)

    def shortest(call: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return 1000 * min(times)

    return shortest(lambda: part_labels(pose)), shortest(person.mask.pixels)


def print_times(name: str, person: Segmentation) -> None:
    height, width = person.mask.size_hw
    parts, mask = times_of(person)
    print(f"  {name:30} {width}x{height} {parts:5.2f} {mask:5.2f}")


def first_frames(path: Path, count: int) -> Iterator[tuple[Picture, float]]:
    with read_video(path) as video:
        for frame in video:
            if frame.index == count:
                return
            yield frame.image, frame.time


def noisy(path: Path, count: int) -> Iterator[tuple[Picture, float]]:
    rng = np.random.default_rng(0)
    ((image, _),) = first_frames(path, 1)
    for i in range(count):
        noise = rng.normal(0, 4, image.shape)
        yield np.clip(image + noise, 0, 255).astype(np.uint8), i / 25


def share_of_changes(segmenter: Segmenter, frames: Iterable[tuple[Picture, float]], tolerance: int) -> float:
    segmenter.reset()
    last: tuple[Picture, Labels] | None = None
    still = changed = 0
    for image, seconds in frames:
        people = segmenter.segment_people(image, timestamp=seconds, segment_body_parts=True, multi_segmentation=True)
        labels = labels_of(people) if people else np.full(image.shape[:2], NO_PART, np.uint8)
        if last is not None:
            same = np.abs(image.astype(np.int16) - last[0]).max(axis=2) <= tolerance
            same &= (labels != NO_PART) & (last[1] != NO_PART)
            still += np.count_nonzero(same)
            changed += np.count_nonzero(same & (labels != last[1]))
        last = image, labels
    return changed / still


def print_times_of_video(path: Path, model_type: str, runtime: str) -> None:
    segmenter = create_segmenter("blazepose", model_type=model_type, runtime=runtime)
    times = []
    with read_video(path) as video:
        for frame in video:
            people = segmenter.segment_people(frame, multi_segmentation=True)
            times += [times_of(person, 3) for person in people]
            if frame.index == 99:
                break
        height, width = video.size_hw
    parts, mask = np.array(times).T
    print(
        f"  {path.name:30} {width}x{height} median {np.median(parts):.2f} {np.median(mask):.2f}, "
        f"most {parts.max():.2f} {mask.max():.2f}; most of the parts beyond the mask {(parts - mask).max():.2f}"
    )


def report(name: str, rows: Sequence[npt.NDArray[np.float64]]) -> None:
    counts = np.array(rows)
    total = counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        each = np.nanmean(counts[..., 0] / counts[..., 1], axis=0)
    pooled = total[:, 0] / total[:, 1]
    columns = "  ".join(f"{group} {a:.3f}/{b:.3f}" for group, a, b in zip(GROUPS, pooled, each, strict=True))
    print(f"  {name:10} mean {pooled.mean():.3f}/{each.mean():.3f}   {columns}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--model-type", default="full")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--bodypix", help="BodyPix's folder or address; the published network if not given")
    parser.add_argument("--quant-bytes", type=int, default=2)
    arguments = parser.parse_args()
    blazepose = create_segmenter("blazepose", model_type=arguments.model_type, runtime=arguments.runtime)
    bodypix = create_segmenter(
        "bodypix", quant_bytes=arguments.quant_bytes, model_url=arguments.bodypix, runtime=arguments.runtime
    )
    options = {"multi_segmentation": True, "segment_body_parts": True}

    ours, theirs = [], []
    same, both, visible = 0, 0, 0
    turned_ours, turned_theirs = Turned(), Turned()
    print("time of the parts, and of the mask alone, ms:")
    for photo in sorted((arguments.data / "groundtruth/ccp/public/photos").glob("*.jpg")):
        image = read_image(photo)
        (person,) = blazepose.segment_people(image, **options)
        labels = np.asarray(person.part_labels)
        other = labels_of(bodypix.segment_people(image, **options), labels)
        groups = annotated_groups(arguments.data, photo.stem)
        ours.append(overlaps(labels, groups))
        theirs.append(overlaps(other, groups))
        shared = (labels != NO_PART) & (other != NO_PART)
        same += np.count_nonzero(labels[shared] == other[shared])
        both += np.count_nonzero(shared)
        for quarters in (1, 2, 3):
            sideways = np.ascontiguousarray(np.rot90(image, quarters))
            for segmenter, upright, counts in ((blazepose, labels, turned_ours), (bodypix, other, turned_theirs)):
                people = segmenter.segment_people(sideways, **options)
                counts.add(upright, np.rot90(labels_of(people), -quarters) if people else None)
        wrong, count = swapped_keypoints(person)
        visible += count
        print_times(photo.name, person)
        for name in wrong:
            print(f"    on the other side: {name}")
    for name in ("images/girl-919048_1280.jpg", "images/doctor-5871743_640.jpg", "images/ai-body.jpg",
                 "images/yoga.jpg", "groundtruth/tfjs_pose/pose.jpg", "groundtruth/schp_single/demo.jpg"):  # fmt: skip
        (person,) = blazepose.segment_people(read_image(arguments.data / name), **options)
        print_times(Path(name).name, person)
    for name in ("single_person_demo.mp4", "mediapipe_talking_head.mp4"):
        print_times_of_video(arguments.data / "videos" / name, arguments.model_type, arguments.runtime)

    for name in ("single_person_demo.mp4", "mediapipe_talking_head.mp4"):
        path = arguments.data / "videos" / name
        for kind, segmenter in (("BlazePose", blazepose), ("BodyPix", bodypix)):
            moving = share_of_changes(segmenter, first_frames(path, 100), 6)
            still = share_of_changes(segmenter, noisy(path, 20), 255)
            print(f"steady: {name} {kind} {moving:.1%} change, {still:.2%} with noise only")

    for name, which in (("tuned", slice(0, None, 2)), ("held out", slice(1, None, 2)), ("all", slice(None))):
        print(f"ccp, {name}, {len(ours[which])} full bodies, IoU over all pixels / mean over pictures:")
        report("BlazePose", ours[which])
        report("BodyPix", theirs[which])
    print(f"turned: BlazePose {turned_ours}; BodyPix {turned_theirs}")
    print(f"both give the same of 24 parts to {same / both:.1%} of the pixels that are a person's in both")
    print(f"{visible} visible keypoints of limbs")

    from PIL import Image

    folder = arguments.data / "groundtruth/schp_single"
    lip = np.asarray(Image.open(folder / "demo_lip.png"))
    print("schp_single, pixels on the side that LIP says (left arm, right arm):")
    for name, segmenter in (("BlazePose", blazepose), ("BodyPix", bodypix)):
        people = segmenter.segment_people(read_image(folder / "demo.jpg"), **options)
        shares = []
        for value, side in ((14, "left"), (15, "right")):
            labels = labels_of(people)[lip == value] if people else np.full(1, NO_PART, np.uint8)
            named = np.array([*PARTS, "nobody"])[labels]
            shares.append(np.mean([part.startswith(side) for part in named]))
        print(f"  {name:10} {shares[0]:.1%}, {shares[1]:.1%}")


if __name__ == "__main__":
    main()

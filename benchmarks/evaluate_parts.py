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
Times are of all that parts cost at the picture's size, and of pasting the mask alone, which a part of it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemask import Segmentation, create_segmenter, read_image
from posemask.bodies import NO_PART, PARTS
from posemask.models.pose_segments import part_labels

Labels = npt.NDArray[np.uint8]
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


def times_of(person: Segmentation) -> str:
    """The shortest of several times, in milliseconds: of the parts, of the mask."""
    assert person.pose is not None
    pose = dataclasses.replace(person.pose, segmentation=person)
    height, width = person.mask.size_hw

    def shortest(call: Callable[[], object]) -> float:
        times = []
        for _ in range(15):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return 1000 * min(times)

    parts, mask = shortest(lambda: part_labels(pose)), shortest(person.mask.pixels)
    return f"{width}x{height} {parts:5.2f} {mask:5.2f}"


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
        wrong, count = swapped_keypoints(person)
        visible += count
        print(f"  {photo.name:30} {times_of(person)}", *(f"; on the other side: {name}" for name in wrong))
    for name in ("images/girl-919048_1280.jpg", "images/doctor-5871743_640.jpg", "images/ai-body.jpg",
                 "images/yoga.jpg", "groundtruth/tfjs_pose/pose.jpg", "groundtruth/schp_single/demo.jpg"):  # fmt: skip
        (person,) = blazepose.segment_people(read_image(arguments.data / name), **options)
        print(f"  {Path(name).name:30} {times_of(person)}")

    for name, which in (("tuned", slice(0, None, 2)), ("held out", slice(1, None, 2)), ("all", slice(None))):
        print(f"ccp, {name}, {len(ours[which])} full bodies, IoU over all pixels / mean over pictures:")
        report("BlazePose", ours[which])
        report("BodyPix", theirs[which])
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

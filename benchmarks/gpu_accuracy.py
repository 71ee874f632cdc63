"""How far the GPU's networks lie from float32 on the CPU, on people: keypoints in crop pixels, mask IoU.

    POSEMASK_WEIGHTS=weights python benchmarks/gpu_accuracy.py --data FOLDER --prepare crops.npz
    POSEMASK_WEIGHTS=weights python benchmarks/gpu_accuracy.py --data FOLDER --crops crops.npz [--chain]

The first call needs no GPU: it cuts the reference data's regions out of its pictures and of the frames of pose_1.mp4
and runs the landmark networks on the CPU. The second runs the same crops through the kernels, in half precision and
precise, decoded with heat-map refinement. A keypoint is decided by two comparisons, its heat map's largest confidence
with 0.5 and its position with the borders of the heat map's cells; `margins` are the least distances of a keypoint from
either where the other side would move it by more than 0.5 pixels: an error as large as that may flip it. With --chain
the whole chain's result on each picture is compared with the reference's keypoints.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from posemask.gpu.network import CudaNetwork, load
from posemask.networks.read_tflite import read_tflite
from posemask.numbers.geometry import image_from_crop
from posemask.numbers.landmarks import decode_landmarks, refine_landmarks
from posemask.pixels import torch as pixels

KINDS = ("lite", "full", "heavy")
VIDEO = "groundtruth/tfjs_pose/pose_1.mp4"
FAR = 0.5  # pixels of the crop


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).copy()


def crop(image: np.ndarray, roi: list[float]) -> np.ndarray:
    matrix = image_from_crop(torch.tensor(roi, dtype=torch.float64), 256)
    cut = pixels.crop(torch.from_numpy(image), matrix, (256, 256), border="replicate")
    return (cut * 255).round().byte().numpy()


def prepare(folder: Path, data: Path, to: Path) -> None:
    """Crops, and what the CPU makes of them."""
    from posemask.media import read_video
    from posemask.runtimes import load as load_on_cpu

    golden = json.loads((data / "golden" / "images.json").read_text())
    crops, names = [], []
    for name, entry in golden.items():
        if entry["poses"]["full"] and (data / name).is_file():
            roi = entry["roi"]
            crops.append(crop(picture(data / name), [*roi["centre"], roi["size"], roi["rotation"]]))
            names.append(name)
    forced = json.loads((data / "golden" / "videos.json").read_text())[VIDEO]["frames"]
    for entry, frame in zip(forced, read_video(data / VIDEO), strict=True):
        crops.append(crop(frame.image, entry["forced_roi"]["roi"]))
        names.append(f"{VIDEO}#{entry['index']}")
    made: dict[str, Any] = {"crops": np.stack(crops), "names": np.array(names)}
    for kind in KINDS:
        network = load_on_cpu(read_tflite(folder / f"pose_landmark_{kind}.tflite"))
        images = (image[None].astype(np.float32) / 255 for image in made["crops"])
        rows = [[np.array(output) for output in network(image)] for image in images]
        made[f"{kind}_mask"] = np.packbits(np.concatenate([row[2] for row in rows]) > 0)
        raw, heatmap = (torch.from_numpy(np.concatenate([row[output] for row in rows])) for output in (0, 3))
        made[f"{kind}_raw"], made[f"{kind}_xy"] = raw.numpy(), refined(raw, heatmap).numpy()
        made[f"{kind}_margins"] = np.stack(margins(raw, heatmap))
    # Neighbours differ little: their differences take half the room.
    made["crops"] = np.diff(made["crops"], axis=2, prepend=np.uint8(0))
    np.savez_compressed(to, **made)


def refined(raw: torch.Tensor, heatmap: torch.Tensor) -> torch.Tensor:
    xyz, _, _ = decode_landmarks(raw.double().cpu())
    return refine_landmarks(xyz[:, :33, :2], heatmap[..., :33].cpu().double())


def margins(raw: torch.Tensor, heatmap: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Of each keypoint: the logit's distance from the threshold, and pixels to the next cell; infinite if harmless."""
    xy, maps = decode_landmarks(raw.double())[0][:, :33, :2], heatmap[..., :33].double()
    on, off = refine_landmarks(xy, maps, min_confidence=0.0), refined(raw, heatmap)
    cell = torch.trunc(xy / 4).long()
    largest = torch.full(xy.shape[:2], -torch.inf, dtype=torch.float64)
    for row in range(-3, 4):
        for column in range(-3, 4):
            y, x = cell[..., 1] + row, cell[..., 0] + column
            inside = (y >= 0) & (y < 64) & (x >= 0) & (x < 64)
            n, k = torch.meshgrid(torch.arange(len(xy)), torch.arange(33), indexing="ij")
            value = maps[n, y.clamp(0, 63), x.clamp(0, 63), k]
            largest = torch.where(inside, torch.maximum(largest, value), largest)
    threshold = torch.where((on - xy).norm(dim=-1) > FAR, largest.abs(), torch.inf)
    border = torch.full_like(threshold, torch.inf)
    for axis in (0, 1):
        for direction in (-1, 1):
            fraction = (xy[..., axis] / 4) % 1
            distance = 4 * (1 - fraction if direction > 0 else fraction)
            moved = xy.clone()
            moved[..., axis] += direction * (distance + 1e-6)
            harmful = (refine_landmarks(moved, maps) - off).norm(dim=-1) > FAR
            border = torch.where(harmful, torch.minimum(border, distance), border)
    return threshold.numpy(), border.numpy()


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of each picture's masks."""
    both, either = (a & b).sum((1, 2, 3)), (a | b).sum((1, 2, 3))
    return np.asarray(both / np.maximum(either, 1))


def compare(
    network: Callable[[torch.Tensor], tuple[torch.Tensor, ...]], held: dict[str, np.ndarray], kind: str
) -> None:
    raw, _, mask, heatmap, _ = (output.float().cpu() for output in network(torch.from_numpy(held["crops"])))
    distance = np.linalg.norm(refined(raw, heatmap).numpy() - held[f"{kind}_xy"], axis=-1)
    unrefined = (decode_landmarks(raw)[0] - decode_landmarks(torch.from_numpy(held[f"{kind}_raw"]))[0])[:, :33, :2]
    theirs = np.unpackbits(held[f"{kind}_mask"])[: mask.numel()].reshape(mask.shape).astype(bool)
    iou, video = intersection(mask.numpy() > 0, theirs), np.char.find(held["names"], "#") >= 0
    for which, some in (("pictures", ~video), ("video", video)):
        d, u = distance[some], unrefined.norm(dim=-1).numpy()[some]
        print(
            f"    {which} ({some.sum()}): mean {d.mean():.5f} px of the crop, 99 % within {np.percentile(d, 99):.4f}, "
            f"largest {d.max():.4f}, {(d > FAR).sum()} of {d.size} beyond {FAR}; before refinement largest "
            f"{u.max():.5f}; mask IoU mean {iou[some].mean():.5f}, least {iou[some].min():.5f}"
        )
        for i in np.flatnonzero(some & ((distance > FAR).any(1) | (iou < 0.99)))[:6]:
            k = int(distance[i].argmax())
            threshold, border = held[f"{kind}_margins"][:, i, k]
            print(
                f"        {held['names'][i]}: keypoint {k} by {distance[i, k]:.3f} (its margins {threshold:.5f}, "
                f"{border:.5f} px), mask IoU {iou[i]:.4f}"
            )


def on_device(network: CudaNetwork) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    def run(crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image = crops.float().cuda() / 255
        if network.input_shape[2] == 4:
            image = torch.cat([image, torch.zeros_like(image[..., :1])], -1)
        return network(image.to(network.input_dtype).contiguous())

    return run


def chain(folder: Path, data: Path, kind: str) -> None:
    from posemask.gpu.compiler import CudaKernels
    from posemask.gpu.pool import PosePool

    place, golden, away = CudaKernels(), json.loads((data / "golden" / "images.json").read_text()), []
    networks = [read_tflite(folder / f"{name}.tflite") for name in ("pose_detection", f"pose_landmark_{kind}")]
    for name, entry in golden.items():
        if not entry["poses"][kind] or not (data / name).is_file():
            continue
        image = torch.from_numpy(picture(data / name)).cuda()
        pool = PosePool(place, *networks, [tuple(image.shape[:2])])
        result = pool.step([image.contiguous()], [0.0])
        expected = np.array(entry["poses"][kind][0]["xyz"])[:, :2]
        d = np.linalg.norm(result.xyz[0, :, :2].cpu().numpy() - expected, axis=-1) / entry["roi"]["size"] * 256
        away.append(d if int(result.found) else np.full(33, np.nan))
    d = np.stack(away)
    print(
        f"    chain against the reference: found {np.isfinite(d[:, 0]).sum()} of {len(d)}, "
        f"mean {np.nanmean(d):.4f} px, a picture's largest typically {np.nanmedian(d.max(1)):.3f}, "
        f"of all {np.nanmax(d):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the reference data")
    parser.add_argument("--prepare", type=Path, help="write the crops and the CPU's results to this file")
    parser.add_argument("--crops", type=Path, help="the file so written")
    parser.add_argument("--chain", action="store_true")
    options = parser.parse_args()
    folder = Path(os.environ["POSEMASK_WEIGHTS"])
    if options.prepare:
        prepare(folder, options.data, options.prepare)
        return
    with np.load(options.crops) as file:
        held = dict(file)
    held["crops"] = np.cumsum(held["crops"], axis=2, dtype=np.uint8)
    for kind in KINDS:
        least = [np.sort(margin, axis=None)[:3] for margin in held[f"{kind}_margins"]]
        print(f"{kind}: least margins, logits {least[0].round(5)}, pixels {least[1].round(5)}")
        graph = read_tflite(folder / f"pose_landmark_{kind}.tflite")
        for precise in (False, True):
            print("  precise" if precise else "  half precision")
            compare(on_device(load(graph, precise=precise)), held, kind)
        if options.chain:
            chain(folder, options.data, kind)


if __name__ == "__main__":
    main()

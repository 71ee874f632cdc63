"""How far half precision on a GPU lies from float32, on pictures of people: keypoints in crop pixels, mask IoU.

    POSEMASK_WEIGHTS=weights python benchmarks/gpu_accuracy.py --golden images.json --data FOLDER

For every picture of the reference data with a person, the crop of the reference's region goes through the kernels in
half precision and through the plain graph in float32, both decoded with heat-map refinement; and the whole chain's
result is compared with the reference's keypoints.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from posemask.gpu import reference
from posemask.gpu.compiler import CudaKernels
from posemask.gpu.network import load
from posemask.gpu.pool import PosePool
from posemask.networks.read_tflite import read_tflite
from posemask.numbers.geometry import image_from_crop
from posemask.numbers.landmarks import decode_landmarks, refine_landmarks
from posemask.pixels import torch as pixels


def refined(raw: torch.Tensor, heatmap: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    xyz, visibility, _ = decode_landmarks(raw.double().cpu())
    return refine_landmarks(xyz[0, :33, :2], heatmap[0].cpu().float()[..., :33]).numpy(), visibility[0, :33].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    folder, golden = Path(os.environ["POSEMASK_WEIGHTS"]), json.loads(options.golden.read_text())
    place = CudaKernels()
    for kind in ("full", "lite", "heavy"):
        graph = read_tflite(folder / f"pose_landmark_{kind}.tflite")
        network = load(graph)
        every: list[Any] = []
        chain: list[Any] = []
        for name, entry in golden.items():
            path = options.data / name
            if not entry["poses"][kind] or not path.is_file():
                continue
            with Image.open(path) as opened:
                image = torch.from_numpy(np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).copy()).cuda()
            roi = entry["roi"]
            row = torch.tensor([*roi["centre"], roi["size"], roi["rotation"]], dtype=torch.float64)
            crop = pixels.crop(image, image_from_crop(row, 256).cuda(), (256, 256), border="replicate")[None]
            padded = torch.cat([crop, torch.zeros_like(crop[..., :1])], -1).half().contiguous()
            half, full = network(padded), reference.run(network.plan, crop)
            (a, _), (b, visible) = refined(half[0], half[3]), refined(full[0], full[3])
            distance = np.linalg.norm(a - b, axis=-1)
            m, n = half[2][0] > 0, full[2][0] > 0
            iou = float((m & n).sum() / (m | n).sum().clamp(min=1))
            every.append((distance, visible, iou))
            pool = PosePool(
                place,
                read_tflite(folder / "pose_detection.tflite"),
                graph,
                [tuple(image.shape[:2])],
                exact_detector=True,
            )
            result = pool.step([image.contiguous()], [0.0])
            expected = np.array(entry["poses"][kind][0]["xyz"])[:, :2]
            away = np.linalg.norm(result.xyz[0, :, :2].cpu().numpy() - expected, axis=-1) / roi["size"] * 256
            chain.append(away if int(result.found) else np.full(33, np.nan))
        distance, visible = np.stack([e[0] for e in every]), np.stack([e[1] for e in every]) > 0.5
        ious = [e[2] for e in every]
        print(f"{kind}: {len(every)} pictures, half precision against float32")
        for which, some in (("all keypoints", distance.ravel()), ("visible ones", distance[visible])):
            most = np.percentile(some, 99)
            print(
                f"    {which}: mean {some.mean():.4f} px of the crop, 99 % within {most:.3f}, largest {some.max():.3f}"
            )
        print(f"    mask IoU mean {np.mean(ious):.5f}, least {min(ious):.5f}")
        away = np.stack(chain)
        typical = np.nanmedian(away.max(1))
        print(
            f"    chain against the reference: found {np.isfinite(away[:, 0]).sum()} of {len(away)}, "
            f"mean {np.nanmean(away):.4f} px, a picture's largest typically {typical:.3f}, of all {np.nanmax(away):.3f}"
        )


if __name__ == "__main__":
    main()

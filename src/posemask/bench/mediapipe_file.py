"""``python -m posemask.bench.mediapipe_file MODEL FILE``: our weights as the file that MediaPipe Tasks takes."""

from __future__ import annotations

import sys
from pathlib import Path

from .. import weights
from ..networks.read_tflite import read_tflite
from ..runtimes.mediapipe import blazepose_file, selfie_file
from .work import NETWORKS, POSE_MODELS


def main(model: str, file: Path) -> None:
    network = read_tflite(weights.path(NETWORKS[model]))
    if model in POSE_MODELS:
        file.write_bytes(blazepose_file(read_tflite(weights.path("pose_detection")), network))
    else:
        file.write_bytes(selfie_file(network))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""``python -m posemask.bench.mediapipe_file MODEL FILE``: our weights as the file that MediaPipe Tasks takes."""

from __future__ import annotations

import sys
from pathlib import Path

from .. import weights
from ..networks.read_tflite import read_tflite
from ..runtimes.mediapipe import _bundle, _with_normalisation
from .work import NETWORKS, POSE_MODELS


def main(model: str, file: Path) -> None:
    network = read_tflite(weights.path(NETWORKS[model]))
    if model in POSE_MODELS:
        detector = read_tflite(weights.path("pose_detection"))
        networks = {
            "pose_detector.tflite": _with_normalisation(detector, 127.5, 127.5),
            "pose_landmarks_detector.tflite": _with_normalisation(network, 0.0, 255.0),
        }
        file.write_bytes(_bundle(networks))
    else:
        file.write_bytes(_with_normalisation(network, 0.0, 255.0))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

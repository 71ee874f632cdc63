"""The work done by posemask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..api import create_detector, create_segmenter
from ..effects import blur_background
from .subjects import BLUR_STRENGTH, Picture, Step
from .work import NETWORKS, Work

__all__ = ["make"]


def make(work: Work) -> Step:
    place: dict[str, Any] = {"runtime": work.runtime, "threads": work.threads}
    if work.task == "network":
        return _network_alone(NETWORKS[work.model], place)
    return _pose(work, place) if work.task == "pose" else _mask(work, place)


def _pose(work: Work, place: dict[str, Any]) -> Step:
    detector = create_detector("blazepose", model_type=work.model, enable_segmentation=work.mask, **place)

    def step(frame: Picture, time: float) -> bool:
        poses = detector.estimate_poses(frame, timestamp=time if work.stream else None)
        for pose in poses:
            if pose.segmentation is not None:
                np.asarray(pose.segmentation.mask)
        return bool(poses)

    return step


def _mask(work: Work, place: dict[str, Any]) -> Step:
    segmenter = create_segmenter("selfie_segmentation", model_type=work.model, **place)

    def step(frame: Picture, time: float) -> bool:
        (people,) = segmenter.segment_people(frame, timestamp=time if work.stream else None)
        if work.task == "blur":
            blur_background(frame, people, strength=BLUR_STRENGTH)
        else:
            np.asarray(people.mask)
        return True

    return step


def _network_alone(name: str, place: dict[str, Any]) -> Step:
    from .. import runtimes, weights
    from ..networks.read_tflite import read_tflite
    from ..pixels import native as pixels

    graph = read_tflite(weights.path(name))
    network = runtimes.load(graph, **place)
    height, width = graph.input_shapes[0][1:3]
    tensor: npt.NDArray[np.float32] | None = None

    def step(frame: Picture, time: float) -> bool:
        nonlocal tensor
        if tensor is None:
            tensor = pixels.resize(frame, (height, width), method="area")[None] * np.float32(1 / 255)
        network(tensor)
        return True

    return step

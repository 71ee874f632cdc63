"""Models that answer at once: what the commands do with files can be tested without weights."""

from __future__ import annotations

import numpy as np
import pytest

import posemask
from posemask.pixels import native
from posemask.results import Mask, Pose, Segmentation


class StandInDetector:
    """Finds one person, whose nose has the picture's mean red as x and the time as y; nobody in black pictures."""

    def __init__(self):
        self.calls = []
        self.resets = 0

    def estimate_poses(self, image, *, timestamp=None, max_poses=1):
        self.calls.append((image.shape, timestamp, max_poses))
        if image.max() == 0:
            return []
        points = np.zeros((33, 2), np.float32)
        points[0] = image[..., 0].mean(), timestamp or 0.0
        ones = np.ones(33, np.float32)
        return [
            Pose(
                xy=points, z=-ones, visibility=ones, presence=ones * np.nan, world=np.zeros((33, 3), np.float32),
                score=0.75, box=np.array([0, 1, 2, 3], np.float32), id=None if timestamp is None else 1,
                segmentation=left_half(image.shape[:2]),
            )
        ]  # fmt: skip

    def reset(self):
        self.resets += 1


class StandInSegmenter:
    """Takes the left half of every picture for a person."""

    def __init__(self):
        self.calls = []
        self.resets = 0

    def segment_people(self, image, *, timestamp=None):
        self.calls.append((image.shape, timestamp))
        return [left_half(image.shape[:2])]

    def reset(self):
        self.resets += 1


def left_half(size_hw):
    height, width = size_hw
    probabilities = np.zeros((1, 64), np.float32)
    probabilities[:, :32] = 1.0
    image_from_crop = np.array([[width / 64, 0, width / 128 - 0.5], [0, height, height / 2 - 0.5]], np.float64)
    return Segmentation(
        mask=Mask(
            probabilities=probabilities, image_from_crop=image_from_crop, size_hw=size_hw, border="replicate",
            paste=native.paste,
        )
    )  # fmt: skip


@pytest.fixture(name="made")
def stand_in_models(monkeypatch):
    """What the commands have made: {"detector": options, "segmenter": options, "model": stand-in}."""
    made = {}

    def create_detector(model, **options):
        made.update(detector={"model": model, **options}, model=StandInDetector())
        return made["model"]

    def create_segmenter(model, **options):
        made.update(segmenter={"model": model, **options}, model=StandInSegmenter())
        return made["model"]

    monkeypatch.setattr(posemask, "create_detector", create_detector)
    monkeypatch.setattr(posemask, "create_segmenter", create_segmenter)
    monkeypatch.setattr("posemask.cli.options._fetch", lambda *names: None)
    return made

"""Segmentations for the tests: made from arrays and from the published mask pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from posemask.bodies import NO_PART
from posemask.pixels import native
from posemask.results import Mask, Segmentation

IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def from_probabilities(probabilities: npt.ArrayLike, part_labels: Any = None) -> Segmentation:
    """A segmentation whose mask has one probability for each pixel of the image."""
    values = np.asarray(probabilities, dtype=np.float32)
    values.flags.writeable = False

    mask = Mask(probabilities=values, image_from_crop=IDENTITY, size_hw=values.shape, paste=native.paste)
    return Segmentation(mask=mask, part_labels=part_labels)


def from_parts(labels: npt.ArrayLike) -> Segmentation:
    """A segmentation of body parts 0-23, 24 where nobody is."""
    labels = np.asarray(labels, dtype=np.uint8)
    labels.flags.writeable = False
    return from_probabilities(labels < NO_PART, labels)

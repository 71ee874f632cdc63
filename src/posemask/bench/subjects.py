"""Who does the work. A subject is a module with one ``make(work) -> Step``, imported in its own process and only there,
so that nobody's memory counts as another's.

A result is finished when it lies in memory as its user gets it: keypoints as arrays, a mask as float32 of the frame's
size, a picture as uint8.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .work import Work

__all__ = ["BLUR_KERNEL", "BLUR_STRENGTH", "SUBJECTS", "Picture", "Step", "make"]

Picture = npt.NDArray[np.uint8]
Step = Callable[[Picture, float], bool]
"""(frame, time in seconds) -> whether somebody was found"""

SUBJECTS = {"posemask": "ours", "mediapipe": "mediapipe"}

BLUR_KERNEL = 55  # pixels, of a Gaussian in OpenCV, in the usual recipe
BLUR_STRENGTH = 8.6  # the standard deviation that OpenCV takes for it


def make(subject: str, work: Work) -> Step:
    """What does the work; `InputError` if that subject cannot."""
    if subject not in SUBJECTS:
        raise InputError(f"a subject is one of {', '.join(SUBJECTS)}, got {subject!r}")
    step: Step = importlib.import_module(f".{SUBJECTS[subject]}", __package__).make(work)
    return step

"""The work done by MediaPipe's own Tasks API with the same weights, called as its documentation says.

It has no option for the number of threads, and it computes the mask whether asked for or not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, RuntimeUnavailableError
from .subjects import BLUR_KERNEL, Picture, Step
from .work import Work

__all__ = ["make"]


def make(work: Work) -> Step:
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"MediaPipe cannot be imported ({error}): pip install posemask[mediapipe]"
        ) from error
    if work.task == "network":
        raise InputError("MediaPipe does not run a network by itself")
    mode = vision.RunningMode.VIDEO if work.stream else vision.RunningMode.IMAGE
    with tempfile.TemporaryDirectory(prefix="posemask-bench-", ignore_cleanup_errors=True) as folder:
        base_options = BaseOptions(model_asset_path=str(_model_file(work.model, Path(folder))))
        if work.task == "pose":
            options = vision.PoseLandmarkerOptions(
                base_options=base_options, running_mode=mode, output_segmentation_masks=work.mask
            )
            return _pose(work, vision.PoseLandmarker.create_from_options(options))
        options = vision.ImageSegmenterOptions(base_options=base_options, running_mode=mode)
        return _mask(work, vision.ImageSegmenter.create_from_options(options))


def _model_file(model: str, folder: Path) -> Path:
    """Written by a process of its own, so that our reading of the networks does not count as MediaPipe's memory."""
    file = folder / "model"
    subprocess.run([sys.executable, "-m", "posemask.bench.mediapipe_file", model, str(file)], check=True)
    return file


def _pose(work: Work, task: Any) -> Step:
    run = _taking_frames(task.detect, task.detect_for_video, work.stream)

    def step(frame: Picture, time: float) -> bool:
        result = run(frame, time)
        for mask in result.segmentation_masks or ():
            mask.numpy_view()
        return bool(result.pose_landmarks)

    return step


def _mask(work: Work, task: Any) -> Step:
    run = _taking_frames(task.segment, task.segment_for_video, work.stream)

    def step(frame: Picture, time: float) -> bool:
        mask = run(frame, time).confidence_masks[0].numpy_view()
        if work.task == "blur":
            _blur(frame, mask)
        return True

    return step


def _taking_frames(
    picture: Callable[..., Any], frame_of_stream: Callable[..., Any], stream: bool
) -> Callable[..., Any]:
    from mediapipe import Image, ImageFormat

    def run(frame: Picture, time: float) -> Any:
        image = Image(image_format=ImageFormat.SRGB, data=frame)
        return frame_of_stream(image, round(time * 1000)) if stream else picture(image)

    return run


def _blur(frame: Picture, mask: npt.NDArray[np.float32]) -> Picture:
    """The usual recipe; OpenCV comes with MediaPipe."""
    import cv2

    blurred = cv2.GaussianBlur(frame, (BLUR_KERNEL, BLUR_KERNEL), 0)
    opaque = mask.reshape(*frame.shape[:2], 1)
    picture: Picture = (frame * opaque + blurred * (1 - opaque)).astype(np.uint8)
    return picture

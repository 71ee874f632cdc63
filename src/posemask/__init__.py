"""posemask finds people in pictures and video: where the body is, which pixels are the person, which part each is.

    detector = posemask.create_detector("blazepose", enable_segmentation=True)
    poses = detector.estimate_poses("photo.jpg")

Importing this package loads no runtime and no model; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import bodies, effects, errors, weights
    from .api import PoseDetector, Segmenter, create_detector, create_segmenter
    from .bodies import skeleton_of
    from .errors import PosemaskError
    from .media import VideoWriter, open_camera, read_image, read_video, write_image
    from .results import Frame, Keypoint, Mask, Pose, Segmentation

_NAMES = {
    "api": ("PoseDetector", "Segmenter", "create_detector", "create_segmenter"),
    "bodies": ("skeleton_of",),
    "errors": ("PosemaskError",),
    "media": ("VideoWriter", "open_camera", "read_image", "read_video", "write_image"),
    "results": ("Frame", "Keypoint", "Mask", "Pose", "Segmentation"),
}
_ROOM_OF = {name: room for room, names in _NAMES.items() for name in names}
_ROOMS = ("bodies", "effects", "errors", "weights")

__all__ = [
    "Frame",
    "Keypoint",
    "Mask",
    "Pose",
    "PoseDetector",
    "PosemaskError",
    "Segmentation",
    "Segmenter",
    "VideoWriter",
    "bodies",
    "create_detector",
    "create_segmenter",
    "effects",
    "errors",
    "open_camera",
    "read_image",
    "read_video",
    "skeleton_of",
    "weights",
    "write_image",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``import posemask`` stays fast."""
    if name in _ROOM_OF:
        value = getattr(import_module(f".{_ROOM_OF[name]}", __name__), name)
    elif name in _ROOMS:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

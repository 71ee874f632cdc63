"""Pictures, videos and cameras: the only room that knows files, codecs and devices.

Everything that comes in is (H, W, 3) uint8 RGB, upright, C-contiguous; everything that goes out gets its final name
only when it is complete.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera import Camera, open_camera
    from .outputs import PendingFile, output_errors, pending_file, refuse_to_overwrite
    from .pictures import MAX_PIXELS, read_color_profile, read_image
    from .video import PICTURE_INPUTS, VIDEO_INPUTS, Video, is_video, read_video
    from .video_file import VIDEO_SUFFIXES
    from .write_picture import PICTURE_SUFFIXES, write_image
    from .write_video import VideoWriter

_ROOM_OF = {
    "Camera": "camera",
    "MAX_PIXELS": "pictures",
    "PICTURE_INPUTS": "video",
    "PICTURE_SUFFIXES": "write_picture",
    "PendingFile": "outputs",
    "VIDEO_INPUTS": "video",
    "VIDEO_SUFFIXES": "video_file",
    "Video": "video",
    "VideoWriter": "write_video",
    "is_video": "video",
    "open_camera": "camera",
    "output_errors": "outputs",
    "pending_file": "outputs",
    "read_color_profile": "pictures",
    "read_image": "pictures",
    "read_video": "video",
    "refuse_to_overwrite": "outputs",
    "write_image": "write_picture",
}

__all__ = [
    "MAX_PIXELS",
    "PICTURE_INPUTS",
    "PICTURE_SUFFIXES",
    "VIDEO_INPUTS",
    "VIDEO_SUFFIXES",
    "Camera",
    "PendingFile",
    "Video",
    "VideoWriter",
    "is_video",
    "open_camera",
    "output_errors",
    "pending_file",
    "read_color_profile",
    "read_image",
    "read_video",
    "refuse_to_overwrite",
    "write_image",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: pictures need no video library."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_ROOM_OF[name]}", __name__), name)
    return value

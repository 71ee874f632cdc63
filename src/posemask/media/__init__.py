"""Pictures, videos and cameras: the only room that knows files, codecs and devices.

Everything that comes in is (H, W, 3) uint8 RGB, upright, C-contiguous; everything that goes out gets its final name
only when it is complete.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pictures import MAX_PIXELS, read_image
    from .video import Video, is_video, read_video

_ROOM_OF = {
    "MAX_PIXELS": "pictures",
    "Video": "video",
    "is_video": "video",
    "read_image": "pictures",
    "read_video": "video",
}

__all__ = ["MAX_PIXELS", "Video", "is_video", "read_image", "read_video"]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: pictures need no video library."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_ROOM_OF[name]}", __name__), name)
    return value

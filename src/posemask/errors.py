"""Every error that posemask raises on purpose, in one tree.

    PosemaskError
    ├── InputError          what the caller passed cannot be used (also a ValueError)
    │   ├── ImageError      a picture cannot be read or has the wrong shape or type
    │   ├── VideoError      a video cannot be read, or a frame in it
    │   └── TimestampError  timestamps of a stream do not increase
    ├── OutputError         a result cannot be written (also an OSError)
    ├── WeightsError        weights are missing, altered or cannot be fetched
    ├── ModelFileError      a network file is malformed or uses what we cannot read
    ├── RuntimeUnavailableError   a runtime or device is not installed or does not work here
    └── InferenceError      a runtime failed while it ran a network

Messages say what was expected, what arrived and what to do. Errors of other libraries are
mapped at the border where they are called, with the original as ``__cause__``.
"""

from __future__ import annotations

__all__ = [
    "ImageError",
    "InferenceError",
    "InputError",
    "ModelFileError",
    "OutputError",
    "PosemaskError",
    "RuntimeUnavailableError",
    "TimestampError",
    "VideoError",
    "WeightsError",
]


class PosemaskError(Exception):
    """Base of all errors of this library."""


class InputError(PosemaskError, ValueError):
    """An argument cannot be used."""


class ImageError(InputError):
    """A picture cannot be read, or is not of a shape and type that can be used."""


class VideoError(InputError):
    """A video cannot be opened or decoded."""


class TimestampError(InputError):
    """A stream's timestamp is not later than the one before."""

    def __init__(self, time: float, before: float) -> None:
        super().__init__(
            f"the timestamps of a stream must increase: got {time:g} s after {before:g} s; "
            "call reset() before another video, or pass no timestamp for single pictures"
        )
        self._times = time, before

    def __reduce__(self) -> tuple[type[TimestampError], tuple[float, float]]:
        return TimestampError, self._times  # pickled by its times: errors cross from worker processes


class OutputError(PosemaskError, OSError):
    """A result cannot be written."""


class WeightsError(PosemaskError):
    """Weights are missing, altered, or could not be fetched from any source."""


class ModelFileError(PosemaskError):
    """A network file is malformed or needs an operation that is not supported."""


class RuntimeUnavailableError(PosemaskError):
    """A runtime or device is not installed, too old, or does not work on this machine."""


class InferenceError(PosemaskError):
    """A runtime failed while running a network."""

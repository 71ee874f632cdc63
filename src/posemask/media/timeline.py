"""Times that strictly increase, out of the timestamps that files have."""

from __future__ import annotations

__all__ = ["Timeline"]

_DISCONTINUITY = 1.0  # seconds; a step back of that much is a clock that was set anew, not pictures out of order
_NUDGES_PER_INTERVAL = 8


class Timeline:
    """Gives every picture of a stream, in the order shown, a time later than the one before.

    Files have pictures without a timestamp, with the same one twice, and clocks that start again in the middle
    (joined recordings, wrapped counters). True timestamps leave unchanged. A missing one becomes the last time plus
    the frame interval. One that does not increase becomes the last time plus an eighth of the interval, so that the
    next true one is met again; after a step back of a second or more the rest of the stream is moved instead, to go
    on one interval after the last picture.
    """

    def __init__(self, interval: float) -> None:
        """`interval` is the usual time from picture to picture, in seconds."""
        self._interval = interval
        self._last: float | None = None
        self._moved_by = 0.0

    def time_of(self, timestamp: float | None) -> float:
        """The time, in seconds, of the next picture, whose timestamp is `timestamp` or unknown."""
        last = self._last
        if last is None:
            time = 0.0 if timestamp is None else timestamp
        elif timestamp is None:
            time = last + self._interval
        else:
            time = timestamp + self._moved_by
            if last - time >= _DISCONTINUITY:
                self._moved_by += last + self._interval - time
                time = last + self._interval
            elif time <= last:
                time = last + self._interval / _NUDGES_PER_INTERVAL
        self._last = time
        return time

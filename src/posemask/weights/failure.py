"""Why one source of weights could not serve; the store collects these and goes on to the next source."""

from __future__ import annotations

__all__ = ["SourceError"]


class SourceError(Exception):
    """One line that says why; it never leaves this room: when no source is left, a WeightsError lists them all."""

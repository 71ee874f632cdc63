"""Filters over time: the low-pass, the One-Euro filter and the blend of masks.

The state of a filter is a value that goes in and comes out; elements of it can be started afresh, so
that one set of arrays serves many people who come and go. Formulas: Casiez, Roussel and
Vogel, "1 Euro Filter" (CHI 2012), in the variant of MediaPipe's OneEuroFilter, and MediaPipe's
SegmentationSmoothingCalculator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from array_api_compat import array_namespace

from ..results import Array

__all__ = ["OneEuro", "blend_masks", "low_pass", "one_euro"]


@dataclass(frozen=True, slots=True, eq=False)
class OneEuro:
    """What a One-Euro filter remembers; arrays of the values' shape.

    Attributes:
        raw: the last value that came in.
        smooth: the last value that went out.
        slope: the smoothed derivative, in (scaled) units per second.
    """

    raw: Array
    smooth: Array
    slope: Array


def low_pass(previous: Array | None, value: Array, alpha: Array | float) -> Array:
    """Give previous + alpha (value - previous); the first value (``previous`` None) passes."""
    return value if previous is None else previous + alpha * (value - previous)


def _alpha(cutoff: Array | float, dt: Array | float) -> Array:
    # 1 / (1 + freq / (2 pi cutoff)) with freq = 1 / dt
    turn = (2 * math.pi) * cutoff * dt
    return turn / (turn + 1)


def one_euro(
    state: OneEuro | None,
    value: Array,
    dt: Array | float,
    *,
    min_cutoff: Array | float,
    beta: Array | float,
    derivative_cutoff: float = 1.0,
    value_scale: Array | float = 1.0,
    restart: Array | None = None,
) -> tuple[OneEuro, Array]:
    """One step of the One-Euro filter.

    Args:
        state: of the step before, None at the start (the first value passes).
        value: any shape.
        dt: seconds since the step before, > 0; broadcasts against ``value``.
        min_cutoff, beta, derivative_cutoff: the filter's parameters, in Hz, Hz per (scaled) unit per second, and Hz.
        value_scale: what a difference is multiplied by before it counts as speed: 1 / size of the person in pixels.
        restart: bool, broadcasts against ``value``: elements that forget what was before.

    Returns:
        The new state and the smoothed value.
    """
    xp = array_namespace(value)
    if state is None:
        return OneEuro(raw=value, smooth=value, slope=xp.zeros_like(value)), value
    slope = low_pass(state.slope, (value - state.raw) * (value_scale / dt), _alpha(derivative_cutoff, dt))
    smooth = low_pass(state.smooth, value, _alpha(min_cutoff + beta * xp.abs(slope), dt))
    if restart is not None:
        slope = xp.where(restart, xp.zeros_like(slope), slope)
        smooth = xp.where(restart, value, smooth)
    return OneEuro(raw=value, smooth=smooth, slope=slope), smooth


def blend_masks(new: Array, previous: Array, *, ratio: float = 0.7) -> Array:
    """Mixes the mask before into a new one where the new one is unsure (near 0.5).

    Args:
        new: probabilities of this frame, any shape.
        previous: what this function gave for the frame before, in the same pixels.
        ratio: how much of the mask before to take where the new one knows nothing.
    """
    xp = array_namespace(new)
    x = (new - 0.5) ** 2
    # A polynomial that follows 1 - entropy of the probability; the coefficients are MediaPipe's.
    certainty = x * (5.68842 + x * (-0.748699 + x * (-57.8051 + x * (291.309 + x * -624.717))))
    uncertainty = 1 - xp.minimum(certainty, xp.ones_like(certainty))
    return new + (previous - new) * (uncertainty * ratio)

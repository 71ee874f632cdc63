"""From logits to probabilities."""

from __future__ import annotations

from array_api_compat import array_namespace

from ..results import Array

__all__ = ["sigmoid"]


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)) of any shape; arguments are cut at +-80, where float32 does not overflow yet."""
    xp = array_namespace(logits)
    return 1 / (1 + xp.exp(-xp.clip(logits, -80.0, 80.0)))

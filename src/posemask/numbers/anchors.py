"""Anchor grids of detectors (MediaPipe's SsdAnchorsCalculator where every anchor has the size of the input)."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

__all__ = ["DETECTOR_ANCHORS_SHAPE", "anchor_grid", "detector_anchors"]

INPUT_SIZE = 224
# Layers of equal stride share one grid: 28 x 28 with 2 anchors, 14 x 14 with 2, 7 x 7 with 6.
_GRIDS = ((28, 2), (14, 2), (7, 6))
DETECTOR_ANCHORS_SHAPE = (sum(n * n * k for n, k in _GRIDS), 2)


@functools.cache
def anchor_grid(grids: tuple[tuple[int, int], ...]) -> npt.NDArray[np.float32]:
    """(A, 2) float32, read-only: centres x, y in [0, 1] of square grids of (cells a side, anchors a cell).

    By grid, row, column, anchor. Sizes are all 1.
    """
    layers = []
    for cells, repeats in grids:
        centers = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centers, centers, indexing="ij")
        layers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), repeats, axis=0))
    anchors = np.concatenate(layers).astype(np.float32)
    anchors.flags.writeable = False
    return anchors


def detector_anchors() -> npt.NDArray[np.float32]:
    """(2254, 2): the grid of BlazePose's detector."""
    return anchor_grid(_GRIDS)

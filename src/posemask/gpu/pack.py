"""Weights in the order in which the kernels' matrix products read them.

The matrix unit takes a 16 x 8 piece of the weights from a warp's 32 lanes, two words of two halves each. Lane 4 g + q
holds column g, and of the 16 rows those at positions 2q, 2q + 1 (first word) and 2q + 8, 2q + 9 (second word). Which
input channel stands at a position is free, as long as both factors agree: it is chosen so that a lane reads 8
channels that are neighbours in memory (kernels/common.cuh, `multiply`). Likewise the columns are dealt out so that a
lane's results are neighbours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["columns", "in_order", "pack", "rows", "rows_of_picture"]

Order = npt.NDArray[np.intp]


def rows(channels: int) -> Order:
    """Channel at each row of the packed product: groups of 32, and a last group of 16 where that is enough."""
    step, register, q, e = np.ix_(range(2), range(2), range(4), range(2))
    wide = (8 * q + 4 * step + 2 * register + e).ravel()
    narrow = (4 * q[0] + 2 * register[0] + e[0]).ravel()
    groups = [32 * i + wide for i in range(channels // 32)]
    left = channels % 32
    if left:
        groups.append(channels - left + (narrow if left <= 16 else wide))
    return np.concatenate(groups)


def rows_of_picture() -> Order:
    """Row (ky, kx, channel of 4) of a 3 x 3 kernel at each row of the product; a line's fourth pixel has no weight."""
    return np.array([ky * 16 + i if i < 12 else -1 for ky in range(3) for i in range(16)], dtype=np.intp)


def columns(tiles: int) -> Order:
    """Channel at each column of `tiles` neighbouring 8-column tiles of one warp."""
    order = []
    for tile in range(tiles):
        first = tile // 4 * 4
        size = min(4, tiles - first)
        order += [first * 8 + q * 2 * size + (tile - first) * 2 + e for q in range(4) for e in range(2)]
    return np.array(order, dtype=np.intp)


def in_order(weights: npt.NDArray[np.float32], row_order: Order, column_order: Order) -> npt.NDArray[np.float32]:
    """weights[row_order][:, column_order], zero where an order points outside."""
    padded = np.zeros(
        (max(int(row_order.max()), weights.shape[0]) + 2, max(int(column_order.max()), weights.shape[1]) + 1),
        np.float32,
    )
    padded[: weights.shape[0], : weights.shape[1]] = weights
    return padded[row_order][:, column_order]


def pack(ordered: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """(16 S, 8 T) -> (S, T, 32 lanes, 2 words, 2 halves)."""
    steps, tiles = ordered.shape[0] // 16, ordered.shape[1] // 8
    split = ordered.reshape(steps, 2, 4, 2, tiles, 8)  # step, word, q, half, tile, g
    packed = split.transpose(0, 4, 5, 2, 1, 3).reshape(steps, tiles, 32, 2, 2)
    return np.ascontiguousarray(packed, dtype=np.float16)

"""What the pixel kernels compute, stated as plainly as numpy can: no speed, no cleverness."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def sampling_matrix(image_from_crop: Array, height: int, width: int) -> Array:
    """OpenCV's getPerspectiveTransform of the crop's float32 corners, inverted, every operation in its order."""
    crop_corners = np.array([[0, height], [0, 0], [width, 0], [width, height]], np.float32)
    image_corners = (crop_corners.astype(np.float64) @ image_from_crop[:, :2].T + image_from_crop[:, 2]).astype(
        np.float32
    )
    a, b = [[0.0] * 8 for _ in range(8)], [0.0] * 8
    for i, ((x, y), (u, v)) in enumerate(zip(image_corners, crop_corners, strict=True)):
        a[i] = [float(x), float(y), 1.0, 0.0, 0.0, 0.0, float(-x * u), float(-y * u)]
        a[i + 4] = [0.0, 0.0, 0.0, float(x), float(y), 1.0, float(-x * v), float(-y * v)]
        b[i], b[i + 4] = float(u), float(v)
    solution = _eliminate(a, b)
    if solution is None:
        return np.vstack([image_from_crop, [0, 0, 1]])
    m = np.array([*solution, 1.0]).reshape(3, 3).tolist()

    def minor(r0: int, c0: int, r1: int, c1: int) -> float:
        return float(m[r0][c0] * m[r1][c1] - m[r0][c1] * m[r1][c0])

    determinant = m[0][0] * minor(1, 1, 2, 2) - m[0][1] * minor(1, 0, 2, 2) + m[0][2] * minor(1, 0, 2, 1)
    cofactors = [
        [minor(1, 1, 2, 2), m[0][2] * m[2][1] - m[0][1] * m[2][2], minor(0, 1, 1, 2)],
        [m[1][2] * m[2][0] - m[1][0] * m[2][2], minor(0, 0, 2, 2), m[0][2] * m[1][0] - m[0][0] * m[1][2]],
        [minor(1, 0, 2, 1), m[0][1] * m[2][0] - m[0][0] * m[2][1], minor(0, 0, 1, 1)],
    ]
    return np.array(cofactors) * (1 / determinant)


def _eliminate(a: list[list[float]], b: list[float]) -> list[float] | None:
    for i in range(8):
        pivot = max(range(i, 8), key=lambda j: (abs(a[j][i]), -j))
        if abs(a[pivot][i]) < 100 * np.finfo(np.float64).eps:
            return None
        a[i], a[pivot], b[i], b[pivot] = a[pivot], a[i], b[pivot], b[i]
        minus_inverse = -1 / a[i][i]
        for j in range(i + 1, 8):
            factor = a[j][i] * minus_inverse
            for k in range(i + 1, 8):
                a[j][k] += factor * a[i][k]
            b[j] += factor * b[i]
    for i in reversed(range(8)):
        total = b[i]
        for k in range(i + 1, 8):
            total -= a[i][k] * b[k]
        b[i] = total / a[i][i]
    return b


def crop(image: Array, image_from_crop: Array, size_hw: tuple[int, int], border: str) -> Array:
    """OpenCV 4's warpPerspective, uint8 and bilinear: coordinates to 1/32 pixel, a table of 15-bit weights."""
    height, width = size_hw
    matrix = sampling_matrix(np.asarray(image_from_crop, np.float64), height, width)
    # Coordinates are added up from the left end of a block.
    block_height = min(16, height)
    block_width = min(1024 // block_height, width)
    block = np.arange(width) // block_width * block_width
    v = np.arange(height)[:, None]
    start = [row[0] * block + row[1] * v + row[2] for row in matrix]
    x, y, w = (at + row[0] * (np.arange(width) - block) for at, row in zip(start, matrix, strict=True))
    with np.errstate(divide="ignore"):
        scale = np.where(w != 0, 32 / w, 0)
    x, y = (np.rint(np.clip(values * scale, -(2**31), 2**31 - 1)).astype(np.int64) for values in (x, y))
    fraction = np.arange(32) / 32
    along = {0: 1 - fraction, 1: fraction}  # of the first and the second tap
    table = {(i, j): np.rint(np.outer(along[i], along[j]) * 32768) for i in (0, 1) for j in (0, 1)}
    total = np.zeros((height, width, 3), np.int64)
    for (i, j), weights in table.items():
        weight = weights[y & 31, x & 31].astype(np.int64)
        total += weight[..., None] * _tap(image, (y >> 5) + i, (x >> 5) + j, border)
    return ((total + 16384) >> 15).astype(np.uint8)


def paste(mask: Array, image_from_crop: Array, size_hw: tuple[int, int], border: str) -> Array:
    """Exact bilinear sampling in float64."""
    crop_from_image = np.linalg.inv(np.vstack([image_from_crop, [0, 0, 1]]))
    y, x = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float64)
    u, v = (row[0] * x + row[1] * y + row[2] for row in crop_from_image[:2])
    left, above = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    result = np.zeros(size_hw)
    for i in (0, 1):
        for j in (0, 1):
            weight = (1 - np.abs(u - left - j)) * (1 - np.abs(v - above - i))
            result += weight * _tap(mask, above + i, left + j, border)
    return result


def _tap(array: Array, y: Array, x: Array, border: str) -> Array:
    height, width = array.shape[:2]
    values = array[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    if border == "replicate":
        return values.astype(np.int64) if array.dtype == np.uint8 else values.astype(np.float64)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return np.where(inside.reshape(inside.shape + (1,) * (array.ndim - 2)), values, 0)


def resize_weights(size: int, new_size: int, method: str) -> Array:
    """(new_size, size) matrix of an axis."""
    scale = size / new_size
    weights = np.zeros((new_size, size))
    for i in range(new_size):
        if method == "area" and scale > 1:
            covered = np.minimum(np.arange(size) + 1, (i + 1) * scale) - np.maximum(np.arange(size), i * scale)
            weights[i] = np.clip(covered, 0, None) / scale
        else:
            position = min(max((i + 0.5) * scale - 0.5, 0), size - 1)
            weights[i] = np.clip(1 - np.abs(np.arange(size) - position), 0, None)
    return weights


def resize(image: Array, size_hw: tuple[int, int], method: str) -> Array:
    """In float64, not rounded."""
    down = resize_weights(image.shape[0], size_hw[0], method)
    across = resize_weights(image.shape[1], size_hw[1], method)
    return np.einsum("yv,xu,vu...->yx...", down, across, image.astype(np.float64), optimize=True)


def gaussian(image: Array, sigma: float, border: str, reach: float = 6) -> Array:
    """The Gaussian itself, in float64, not rounded."""
    result = image.astype(np.float64)
    for axis in (0, 1):
        result = np.moveaxis(
            _gaussian_matrix(image.shape[axis], sigma, border, reach) @ np.moveaxis(result, axis, -2), -2, axis
        )
    return result


def _gaussian_matrix(size: int, sigma: float, border: str, reach: float) -> Array:
    radius = int(np.ceil(reach * sigma))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    matrix = np.zeros((size, size))
    for i in range(size):
        for tap, weight in zip(range(i - radius, i + radius + 1), taps, strict=True):
            if border == "replicate":
                matrix[i, min(max(tap, 0), size - 1)] += weight
            elif 0 <= tap < size:
                matrix[i, tap] += weight
    return matrix


def blur(image: Array, sigma: float, border: str) -> Array:
    """The kernel's own way, in float64, not rounded: means over cells, a Gaussian of 3 sigma, linear interpolation."""
    factor = 1
    while factor < 16 and sigma >= 3 * factor:
        factor *= 2
    left = sigma if factor == 1 else np.sqrt((sigma / factor) ** 2 - 0.25)
    radius = int(np.ceil(3 * left))
    around = factor * (radius + 2)
    result = image.astype(np.float64)
    for axis, size in enumerate(image.shape[:2]):
        ends = [(0, 0)] * image.ndim
        ends[axis] = (around, around + -size % factor)
        padded = np.pad(result, ends, mode="edge" if border == "replicate" else "constant")
        cells = np.moveaxis(padded, axis, -1)
        cells = cells.reshape(*cells.shape[:-1], -1, factor).mean(axis=-1)
        taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / left) ** 2)
        taps /= taps.sum()
        smooth = sum(tap * np.roll(cells, i - radius, axis=-1) for i, tap in enumerate(taps))
        pixel = (np.arange(size) + 0.5) / factor - 0.5 + radius + 2
        before = np.floor(pixel).astype(int)
        share = pixel - before
        result = np.moveaxis(smooth[..., before] * (1 - share) + smooth[..., before + 1] * share, -1, axis)
    return result


def blend(foreground: Array, background: Array, alpha: Array) -> Array:
    opaque = alpha[..., None].astype(np.int64)
    total = foreground * opaque + background * (255 - opaque)
    return ((2 * total + 255) // 510).astype(np.uint8)


def draw_lines(image: Array, xyxy: Array, colors: Array, widths: Array) -> Array:
    result = image.copy()
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    for (x0, y0, x1, y1), color, width in zip(xyxy.astype(np.float32).astype(np.float64), colors, widths, strict=True):
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length2, 0, 1) if length2 else 0
        distance = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        covered = np.clip(width / 2 + 0.5 - distance, 0, min(width, 1))
        alpha = np.floor(covered * 255 + 0.5).astype(np.uint8)
        result = blend(np.broadcast_to(np.asarray(color, np.uint8), image.shape), result, alpha)
    return result

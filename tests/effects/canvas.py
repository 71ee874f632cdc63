"""A browser's canvas in plain floating point: what TensorFlow.js' renderers do, step by step, without any rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posemask.effects import to_binary_mask
from posemask.results import Segmentation

CLEAR, BLACK = (0, 0, 0, 0), (0, 0, 0, 255)


def layer(picture: np.ndarray) -> np.ndarray:
    """(H, W, 4) in [0, 1], premultiplied, of RGB or RGBA bytes."""
    values = picture.astype(np.float64) / 255
    if values.shape[2] == 3:
        return np.dstack([values, np.ones(values.shape[:2])])
    values[..., :3] *= values[..., 3:]
    return values


def blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """A true Gaussian far beyond where it matters; outside the canvas everything is transparent."""
    if sigma == 0:
        return values
    reach = int(np.ceil(6 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        values = np.apply_along_axis(lambda line: np.convolve(line, kernel)[reach : reach + line.size], axis, values)
    return values


def source_over(canvas: np.ndarray, source: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return source * alpha + canvas * (1 - source[..., 3:] * alpha)


def destination_in(canvas: np.ndarray, source: np.ndarray) -> np.ndarray:
    return canvas * source[..., 3:]


def destination_over(canvas: np.ndarray, source: np.ndarray) -> np.ndarray:
    return source_over(source, canvas)


def pixels(canvas: np.ndarray) -> np.ndarray:
    """(H, W, 3) in 0..255, without the alpha."""
    return 255 * canvas[..., :3] / np.maximum(canvas[..., 3:], 1e-9)


def draw_mask(image: np.ndarray, mask: np.ndarray, opacity: float, sigma: float) -> np.ndarray:
    return pixels(source_over(layer(image), blur(layer(mask), sigma), opacity))


def draw_pixelated_mask(image: np.ndarray, mask: np.ndarray, opacity: float, sigma: float, cell: int) -> np.ndarray:
    """For sizes that are whole cells: then every step is exact."""
    height, width = image.shape[:2]
    rows, columns = height // cell, width // cell
    assert (rows * cell, columns * cell) == (height, width)
    cells = blur(layer(mask), sigma).reshape(rows, cell, columns, cell, 4).mean(axis=(1, 3))
    canvas = cells.repeat(cell, axis=0).repeat(cell, axis=1)
    white = np.ones(4)
    for first in range(0, width, cell):  # a line of one pixel around x covers half of x - 1 and half of x
        for x in {max(first - 1, -1), first} - {-1}:
            canvas[:, x] = 0.5 * white + 0.5 * canvas[:, x]
    for first in range(0, height, cell):
        for y in {max(first - 1, -1), first} - {-1}:
            canvas[y] = 0.5 * white + 0.5 * canvas[y]
    return pixels(source_over(canvas, layer(image), 1 - opacity))


def draw_bokeh_effect(
    image: np.ndarray, people: Sequence[Segmentation], threshold: float, sigma: float, edge_sigma: float
) -> np.ndarray:
    mask = to_binary_mask(people, foreground=BLACK, background=CLEAR, foreground_threshold=threshold)
    assert mask is not None
    canvas = destination_in(layer(image), blur(layer(mask), edge_sigma))
    return pixels(destination_over(canvas, blur(layer(image), sigma)))


def blur_body_part(
    image: np.ndarray, people: Sequence[Segmentation], values: Sequence[int], sigma: float, edge_sigma: float
) -> np.ndarray:
    mask = to_binary_mask(people, foreground=CLEAR, background=BLACK, draw_contour=True, foreground_mask_values=values)
    assert mask is not None
    canvas = destination_in(layer(image), blur(layer(mask), edge_sigma))
    return pixels(destination_over(canvas, blur(layer(image), sigma)))

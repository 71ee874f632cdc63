"""BodyPix: from the eight heads of the network to poses, person masks, part labels and owners of pixels.

Frames: a *cell* is a pixel of the heads, ``output_stride`` network pixels apart; cell (i, j) lies at network pixel
(i, j) * output_stride. Masks and labels are enlarged so that the corner pixels of both grids meet. Heads may be
numpy arrays or tensors on any device; poses are few and are decoded on the host.

Formulas: TensorFlow.js ``body-segmentation`` 1.0.2 and Papandreou et al., "PersonLab" (ECCV 2018). TensorFlow.js's two
back ends disagree on which keypoints vote for a pixel's owner and how offsets are sampled; here it is as in the paper:
all 17 keypoints, bilinear sampling. It also adds offsets in network pixels to positions in picture pixels, so that at
its default resolution each step goes half the way; that damping does good, and here it is the same at every resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from ..bodies import NO_PART, POSENET_TREE
from ..results import Array
from .probability import sigmoid
from .rows import Rows

__all__ = [
    "InputGrid",
    "Poses",
    "decode_poses",
    "input_grid",
    "part_labels",
    "person_probabilities",
    "pixel_owners",
]

KEYPOINTS = 17
REFINEMENTS = 2  # how often a keypoint found by a displacement is moved by the short offset under it
OWNER_CELLS = 2  # pixels' owners are found at this many points per cell and side, and interpolated between
OWNER_STEP = 0.5  # how far along the long offsets each step goes: whole steps jump to and fro between people
NEVER = 1e9  # squared network pixels: further than any keypoint can be


@dataclass(frozen=True, slots=True)
class InputGrid:
    """How a picture is laid into the network's input.

    Attributes:
        size_hw: height and width of the picture.
        input_hw: height and width of the network's input, each a multiple of the stride plus one.
        pad_yx: rows above (and below) and columns left (and right) that pad the picture to the input's aspect.
    """

    size_hw: tuple[int, int]
    input_hw: tuple[int, int]
    pad_yx: tuple[int, int]

    def image_from_sampled(self) -> npt.NDArray[np.float64]:
        """(2, 3): where the picture is sampled for a network pixel; both grids start at the same pixel centre."""
        scales = [(n + 2 * pad) / m for n, pad, m in zip(self.size_hw, self.pad_yx, self.input_hw, strict=True)]
        return np.array([[scales[1], 0.0, -self.pad_yx[1]], [0.0, scales[0], -self.pad_yx[0]]])

    def image_from_input(self) -> npt.NDArray[np.float64]:
        """(2, 3): where a network pixel of a mask lies in the picture; the corner pixels of both grids meet."""
        scales = [
            max(n + 2 * pad - 1, 1) / max(m - 1, 1)
            for n, pad, m in zip(self.size_hw, self.pad_yx, self.input_hw, strict=True)
        ]
        return np.array([[scales[1], 0.0, -self.pad_yx[1]], [0.0, scales[0], -self.pad_yx[0]]])


def input_grid(size_hw: tuple[int, int], internal_resolution: float, output_stride: int) -> InputGrid:
    """The input for a picture of ``size_hw`` shrunk by ``internal_resolution``; at least two cells a side."""

    def side(pixels: int) -> int:
        shrunk = pixels * internal_resolution
        if shrunk > 1 and (shrunk - 1) % output_stride == 0:
            return int(shrunk)
        return max(math.floor(shrunk / output_stride), 1) * output_stride + 1

    height, width = size_hw
    input_h, input_w = side(height), side(width)
    aspect = input_w / input_h
    pad_x = _round_half_up(0.5 * (aspect * height - width)) if width / height < aspect else 0
    pad_y = _round_half_up(0.5 * (width / aspect - height)) if width / height >= aspect else 0
    return InputGrid(size_hw=size_hw, input_hw=(input_h, input_w), pad_yx=(pad_y, pad_x))


def _round_half_up(value: float) -> int:
    return math.floor(value + 0.5)


# ---------------------------------------------------------------------------------------------- poses


@dataclass(frozen=True, slots=True, eq=False)
class Poses(Rows):
    """People in the order in which they were found (by their strongest keypoint).

    Attributes:
        xy: (N, 17, 2) float32, network pixels.
        scores: (N, 17) float32 in [0, 1].
        score: (N,) float32: the mean of the keypoints' scores, without those that lie on an earlier person's.
    """

    xy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]


def decode_poses(
    heatmaps: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.float32],
    displacements_fwd: npt.NDArray[np.float32],
    displacements_bwd: npt.NDArray[np.float32],
    *,
    output_stride: int,
    max_poses: int,
    score_threshold: float,
    nms_radius: float,
) -> Poses:
    """Finds people: each starts at a strong keypoint that no earlier person has and follows the tree from there.

    Args:
        heatmaps: (h, w, 17) probabilities.
        offsets: (h, w, 34) network pixels from a cell to the keypoint near it: 17 times y, 17 times x.
        displacements_fwd, displacements_bwd: (h, w, 32) network pixels from a keypoint to its child, and to its parent,
            by the edges of `POSENET_TREE`: 16 times y, 16 times x.
        output_stride: network pixels per cell.
        max_poses: at most so many people.
        score_threshold: of the keypoint that a person starts with.
        nms_radius: network pixels; keypoints of one kind that are no further apart are the same.
    """
    fields = _Fields(heatmaps, _yx(offsets), output_stride)
    starts_k, starts_cell = _local_maxima(heatmaps, score_threshold)
    starts_yx = starts_cell * output_stride + fields.offsets[starts_cell[:, 0], starts_cell[:, 1], starts_k]
    free = np.ones(len(starts_k), dtype=bool)
    found: list[npt.NDArray[np.float32]] = []  # (17, 3): y, x, score
    totals: list[float] = []
    radius2 = nms_radius * nms_radius
    while len(found) < max_poses and free.any():
        start = int(np.argmax(free))  # the strongest: starts are sorted
        k = int(starts_k[start])
        score = heatmaps[starts_cell[start, 0], starts_cell[start, 1], k]
        person = fields.follow(k, starts_yx[start], float(score), _yx(displacements_fwd), _yx(displacements_bwd))
        own = np.ones(KEYPOINTS, dtype=bool)
        for earlier in found:
            own &= np.sum((person[:, :2] - earlier[:, :2]) ** 2, axis=1) > radius2
        totals.append(float(np.sum(person[own, 2]) / KEYPOINTS))
        found.append(person)
        free &= np.sum((starts_yx - person[starts_k, :2]) ** 2, axis=1) > radius2
        free[start] = False
    people = np.stack(found) if found else np.zeros((0, KEYPOINTS, 3), dtype=np.float32)
    return Poses(xy=people[..., 1::-1].copy(), scores=people[..., 2].copy(), score=np.array(totals, dtype=np.float32))


def _yx(field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(h, w, 2 n) of n times y, n times x, as (h, w, n, 2)."""
    height, width, channels = field.shape
    return np.moveaxis(field.reshape(height, width, 2, channels // 2), 2, 3)


def _local_maxima(
    heatmaps: npt.NDArray[np.float32], threshold: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Keypoint number (S,) and cell (S, 2) of every maximum of its 3 x 3 neighbourhood, strongest first; ties count."""
    padded = np.pad(heatmaps, ((1, 1), (1, 1), (0, 0)), constant_values=-1.0)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    highest = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    y, x, k = np.nonzero((heatmaps >= highest) & (heatmaps >= threshold))
    order = np.argsort(-heatmaps[y, x, k], kind="stable")
    return k[order], np.stack([y, x], axis=1)[order]


@dataclass(frozen=True, slots=True, eq=False)
class _Fields:
    """The heads that say where a keypoint is, read at the cell nearest to a point."""

    heatmaps: npt.NDArray[np.float32]  # (h, w, 17)
    offsets: npt.NDArray[np.float32]  # (h, w, 17, 2) y, x
    output_stride: int

    def cell(self, yx: npt.NDArray[np.float32]) -> tuple[int, int]:
        height, width = self.heatmaps.shape[:2]
        y, x = (_round_half_up(float(v) / self.output_stride) for v in yx)
        return min(max(y, 0), height - 1), min(max(x, 0), width - 1)

    def follow(
        self,
        start: int,
        start_yx: npt.NDArray[np.float32],
        start_score: float,
        fwd: npt.NDArray[np.float32],
        bwd: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """(17, 3) y, x, score of all keypoints, reached along the tree: first towards its root, then outwards."""
        person = np.zeros((KEYPOINTS, 3), dtype=np.float32)
        person[start] = (*start_yx, start_score)
        known = {start}
        steps = [(edge, child, parent, bwd) for edge, (parent, child) in reversed(list(enumerate(POSENET_TREE)))]
        steps += [(edge, parent, child, fwd) for edge, (parent, child) in enumerate(POSENET_TREE)]
        for edge, source, target, displacements in steps:
            if source in known and target not in known:
                yx = person[source, :2] + displacements[(*self.cell(person[source, :2]), edge)]
                for _ in range(REFINEMENTS):
                    cell = self.cell(yx)
                    yx = np.array(cell, dtype=np.float32) * self.output_stride + self.offsets[(*cell, target)]
                person[target] = (*yx, self.heatmaps[(*self.cell(yx), target)])
                known.add(target)
        return person


# ---------------------------------------------------------------------------------------------- masks


def person_probabilities(logits: Array, input_hw: tuple[int, int], *, threshold: float) -> Array:
    """(input_h, input_w) float32 in [0, 1] from (h, w) logits: above 0.5 just where the network says ``threshold``.

    The logits are shifted, so that the mask keeps its soft edge and whoever cuts masks at 0.5 cuts where the
    option ``segmentation_threshold`` says.
    """
    shift = math.inf if threshold <= 0 else -math.inf if threshold >= 1 else math.log((1 - threshold) / threshold)
    return sigmoid(_enlarge(logits[..., None], input_hw)[..., 0] + shift)


def part_labels(logits: Array, grid: InputGrid, person: Array) -> Array:
    """(H, W) uint8: the part with the largest probability where ``person`` is True, else `NO_PART`.

    Probabilities are interpolated from cells to network pixels as logits and from there to picture pixels as
    probabilities, as TensorFlow.js does.

    Args:
        logits: (h, w, 24).
        grid: how the picture lies in the network's input.
        person: (H, W) bool.
    """
    xp = array_namespace(logits)
    enlarged = _enlarge(logits, grid.input_hw)
    best = xp.argmax(enlarged, axis=-1)  # also the most probable
    (top, bottom, down), (left, right, across) = (
        _between(length, pad, pixels, logits)
        for length, pad, pixels in zip(grid.size_hw, grid.pad_yx, grid.input_hw, strict=True)
    )
    # Where the four network pixels around a picture pixel agree, so does their mixture.
    corners = [best[y][:, x] for y in (top, bottom) for x in (left, right)]
    labels = corners[0]
    mixed = person & ((corners[1] != labels) | (corners[2] != labels) | (corners[3] != labels))
    y, x = xp.nonzero(mixed)
    fy, fx = down[y][:, None], across[x][:, None]
    upper = sigmoid(enlarged[top[y], left[x]]) * (1 - fx) + sigmoid(enlarged[top[y], right[x]]) * fx
    lower = sigmoid(enlarged[bottom[y], left[x]]) * (1 - fx) + sigmoid(enlarged[bottom[y], right[x]]) * fx
    labels[y, x] = xp.argmax(upper * (1 - fy) + lower * fy, axis=-1)
    return xp.astype(xp.where(person, labels, xp.full_like(labels, NO_PART)), xp.uint8)


def pixel_owners(
    long_offsets: Array, poses: Poses, input_hw: tuple[int, int], *, output_stride: int, min_score: float, refine: int
) -> Array:
    """(input_h, input_w) integers: which of ``poses`` each network pixel belongs to if it is a person's at all.

    From each pixel, the long offsets point to where the 17 keypoints of the pixel's own person are; following them
    ``refine`` times more makes that sharper. The pixel belongs to the person whose keypoints are nearest in the mean
    square. That distance is smooth: it is computed at `OWNER_CELLS` points per cell and interpolated.

    Args:
        long_offsets: (h, w, 34) network pixels: 17 times y, 17 times x.
        poses: at least one.
        output_stride: network pixels per cell.
        min_score: keypoints of a person with a lower or equal score do not count.
        refine: how often the offsets are followed after the first time.
    """
    xp = array_namespace(long_offsets)
    height, width = long_offsets.shape[:2]
    like = {"dtype": long_offsets.dtype, "device": getattr(long_offsets, "device", None)}
    field = xp.reshape(long_offsets, (height * width, 2, KEYPOINTS)) / output_stride  # in cells
    points_h, points_w = (height - 1) * OWNER_CELLS + 1, (width - 1) * OWNER_CELLS + 1
    y = xp.broadcast_to(xp.arange(points_h, **like)[:, None, None] / OWNER_CELLS, (points_h, points_w, KEYPOINTS))
    x = xp.broadcast_to(xp.arange(points_w, **like)[None, :, None] / OWNER_CELLS, (points_h, points_w, KEYPOINTS))
    keypoint = xp.arange(KEYPOINTS, device=like["device"])
    for _ in range(refine + 1):
        dy, dx = _sample_field(field, y, x, keypoint, (height, width))
        y, x = y + OWNER_STEP * dy, x + OWNER_STEP * dx

    distances = []
    for xy, scores in zip(poses.xy, poses.scores, strict=True):
        counts = xp.asarray(scores > min_score, **like)
        target = xp.asarray(xy / output_stride, **like)
        squared = ((x - target[:, 0]) ** 2 + (y - target[:, 1]) ** 2) * counts
        total = xp.sum(counts)
        distances.append(xp.where(total > 0, xp.sum(squared, axis=-1) / xp.clip(total, 1.0, KEYPOINTS), NEVER))
    return xp.argmin(_enlarge(xp.stack(distances, axis=-1), input_hw), axis=-1)


def _sample_field(field: Array, y: Array, x: Array, keypoint: Array, cells_hw: tuple[int, int]) -> tuple[Array, Array]:
    """Bilinear samples dy, dx of each keypoint's own vector field (h w, 2, 17) at cells y, x (..., 17)."""
    xp = array_namespace(field)
    height, width = cells_hw
    y, x = xp.clip(y, 0.0, height - 1.0), xp.clip(x, 0.0, width - 1.0)
    top, left = xp.clip(xp.floor(y), 0.0, max(height - 2.0, 0.0)), xp.clip(xp.floor(x), 0.0, max(width - 2.0, 0.0))
    fy, fx = y - top, x - left
    upper = xp.astype(top * width + left, xp.int64)
    right, below = int(width > 1), width * int(height > 1)

    def sample(component: int) -> Array:
        values = field[:, component, :]
        first = values[upper, keypoint] * (1 - fx) + values[upper + right, keypoint] * fx
        second = values[upper + below, keypoint] * (1 - fx) + values[upper + below + right, keypoint] * fx
        return first * (1 - fy) + second * fy

    return sample(0), sample(1)


def _enlarge(cells: Array, size_hw: tuple[int, int]) -> Array:
    """(h, w, C) to (H, W, C), linearly, so that the corner pixels of both grids meet."""
    xp = array_namespace(cells)
    height, width, channels = cells.shape
    rows = xp.matmul(_linear_weights(height, size_hw[0], cells), xp.reshape(cells, (height, width * channels)))
    rows = xp.reshape(rows, (size_hw[0], width, channels))
    return xp.matmul(_linear_weights(width, size_hw[1], cells), rows)


def _linear_weights(cells: int, pixels: int, like: Array) -> Array:
    """(pixels, cells): row i holds the weights of the cells around i (cells - 1) / (pixels - 1)."""
    xp = array_namespace(like)
    position = np.arange(pixels)[:, None] * ((cells - 1) / max(pixels - 1, 1))
    weights = np.clip(1 - np.abs(position - np.arange(cells)[None, :]), 0, None)
    return xp.asarray(weights, dtype=like.dtype, device=getattr(like, "device", None))


def _between(length: int, pad: int, pixels: int, like: Array) -> tuple[Array, Array, Array]:
    """For each of ``length`` picture pixels: the network pixels before and after it, and the share of the second."""
    xp = array_namespace(like)
    device = getattr(like, "device", None)
    position = (np.arange(length) + pad) * ((pixels - 1) / max(length + 2 * pad - 1, 1))
    before = np.clip(np.floor(position), 0, max(pixels - 2, 0)).astype(np.int64)
    after = np.minimum(before + 1, pixels - 1)
    share = (position - before).astype(np.float32)
    return xp.asarray(before, device=device), xp.asarray(after, device=device), xp.asarray(share, device=device)

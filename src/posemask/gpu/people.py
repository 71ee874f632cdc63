"""The kernel that makes people of the landmark network's outputs, with the tensors that it keeps for each of them."""

from __future__ import annotations

from typing import TypeAlias

import torch

from ..numbers import tracking
from .compiler import Kernels
from .pictures import Part, bits

__all__ = ["CROP_SIZE", "KEYPOINTS", "POINTS_STRIDE", "People"]

Tensor: TypeAlias = torch.Tensor
CROP_SIZE, KEYPOINTS = 256, 33
HEATMAP_STRIDE = 40  # 39 maps and one of nothing
POINTS = 68  # keypoints in pixels, two auxiliary points, keypoints in metres
POINTS_STRIDE = 3 * POINTS * 3  # numbers between the values of neighbouring rows: what the filters keep lies between


class People:
    """Up to `count` people, of one stream or of many: what is remembered of them, and what was seen last.

    Attributes:
        roi: (N, 4) double, where to look: centre x, y, size, rotation. Read, then set to where to look next.
        has_roi: (N,) int32, somebody is followed there, or was just detected. Read, then set to `found`.
        alive: (N,) int32, the filters hold somebody; 0 starts them afresh. Read, then set to `found`.
        values: (N, 68, 3) double, this frame's points before the filters: keypoints and auxiliary points in pixels,
            keypoints in metres.
        found, score, xyz, world, visibility, presence, used_roi: as in `posemask.gpu.pool.PoseResults`.
        flags: (N,) int32, as `found`; for the host.
    """

    def __init__(self, place: Kernels, count: int, *, smooth: bool, min_presence: float, a_stream: int = 1) -> None:
        """`a_stream`: so many rows are people of one stream, and share its time."""
        shared_bytes = 8 * (70 + POINTS * 3 + 4 + 4)
        self._part = Part(
            place, "people", {"SMOOTH": int(smooth), "HEAT": HEATMAP_STRIDE, "PEOPLE": a_stream}, 128, shared_bytes
        )
        self._count, self._min_presence = count, bits(min_presence)
        rules = (tracking.VISIBILITY_ALPHA, tracking.MIN_OBJECT_SIZE, tracking.OBJECT_SCALE)
        filters = [number for filter in tracking.ONE_EURO for number in filter]
        self._rules = torch.tensor([*rules, *filters], dtype=torch.float64, device=place.device)

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros((count, *shape), dtype=dtype, device=place.device)

        self.roi, self.used_roi = zeros(4, dtype=torch.float64), zeros(4, dtype=torch.float64)
        self.has_roi, self.alive, self.found, self.flags = (zeros(dtype=torch.int32) for _ in range(4))
        self._filters = zeros(3, POINTS, 3, dtype=torch.float64)
        self._seen = zeros(KEYPOINTS, dtype=torch.float64)
        self.values = self._filters[:, 0]
        self.score = zeros()
        self.xyz, self.world = zeros(KEYPOINTS, 3), zeros(KEYPOINTS, 3)
        self.visibility, self.presence = zeros(KEYPOINTS), zeros(KEYPOINTS)

    def run(self, raw: Tensor, score: Tensor, heatmap: Tensor, metres: Tensor, dt: Tensor) -> None:
        """One frame: the network's outputs for all rows, and seconds since the frame before, double, one a stream.

        The heat maps (N, 64, 64, 39) are half; they are read where they lie if pixels are 40 apart, as the kernels do.
        """
        if heatmap.stride(-2) != HEATMAP_STRIDE:
            heatmap = torch.nn.functional.pad(heatmap, (0, HEATMAP_STRIDE - heatmap.shape[-1]))
        state = (self.roi, self.has_roi, self.alive, self._filters, self._seen)
        made = (self.found, self.score, self.xyz, self.world, self.visibility, self.presence, self.used_roi, self.flags)
        outputs = (raw, score, heatmap, metres, dt)
        self._part.run((self._count, 1), *outputs, *state, *made, self._rules, self._min_presence)

"""A detector on parts of pictures: crops, the network, and whom it finds in each, best first."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ..networks.graph import Graph
from ..numbers.anchors import detector_anchors
from ..numbers.boxes import decode_detections, weighted_nms
from .compiler import Kernels
from .network import CudaNetwork
from .pictures import Cropper

__all__ = ["DETECTOR_SIZE", "Detector"]

Tensor: TypeAlias = torch.Tensor
DETECTOR_SIZE = 224


class Detector:
    """A detector for up to `count` views at once.

    Args:
        place: where the kernels run.
        graph: the published network.
        count: the most views.
        anchors: (A, 2) of its outputs; BlazePose's by default.
        exact: run it with the errors of float32. Half precision moves regions by up to 0.1 pixels of the crop, and the
            landmark network answers a shift so small with up to a pixel in a picture that stands alone.

    Attributes:
        size: side of the square input in pixels.
        values: numbers of each that it finds: a box and points.
    """

    def __init__(
        self,
        place: Kernels,
        graph: Graph,
        count: int,
        *,
        anchors: npt.NDArray[np.float32] | None = None,
        exact: bool,
    ) -> None:
        self._network = CudaNetwork(graph, place, batch=count, precise=exact)
        self.size, self.values = self._network.input_shape[0], self._network.output_shapes[0][-1]
        size_hw = (self.size, self.size)
        self._crops = Cropper(
            place, size_hw, count, border="zero", scale=2 / 255, offset=-1.0, from_rois=False, exact=exact
        )
        self._anchors = torch.tensor(detector_anchors() if anchors is None else anchors).to(place.device)

    def run(self, table: Tensor, rows: Tensor, maps: Tensor, most: int, min_score: Tensor) -> tuple[Tensor, Tensor]:
        """Queue it.

        Args:
            table: of the pictures.
            rows: (V,) int32, which picture each view is of.
            maps: (V, 2, 3) double, where a view's pixels lie in its picture.
            most: people in a view.
            min_score: a number on the device.

        Returns:
            (V, most, 4 + 2 K) and (V, most), as of `weighted_nms`, in fractions of the view.
        """
        count = len(maps)
        self._crops.maps[:count].copy_(maps)
        raw, logits = self._network(self._crops.run(table, rows, count))
        points, scores = decode_detections(raw, logits, self._anchors, input_size=self.size)
        people: tuple[Tensor, Tensor] = weighted_nms(points, scores, max_people=most, min_score=min_score)
        return people

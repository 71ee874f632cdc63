"""The models' networks on pictures that lie on a GPU: what `posemask.models` takes in place of its own networks.

    picture, views    ->  crops  ->  detector              ->  people in each view
    picture, views    ->  crops  ->  face detectors        ->  faces in each view
    picture, regions  ->  crops  ->  landmark network      ->  refined keypoints, metres, masks of each
    picture           ->  resized -> selfie segmentation   ->  probabilities

What is done with them is the same for every device and stays with `posemask.models`. Views and regions are counted in
few steps, each with a graph of its own; what is asked for beyond them runs in several goes. Pictures are (H, W, 3)
uint8 tensors on the device, of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ..models.blazepose import OUTPUTS_WITH_MASK, OUTPUTS_WITHOUT_MASK, candidates_in
from ..models.faces import FACE_DETECTORS, MOST_FACES, Faces, faces_in
from ..models.search import Candidates
from ..networks.graph import Graph
from ..numbers.geometry import image_from_crop, image_from_resized
from ..numbers.landmarks import heatmap_clarity
from ..numbers.rows import joined
from ..numbers.tracking import Landmarks
from .compiler import Kernels
from .detector import DETECTOR_SIZE, Detector
from .feed import Captured, Download, Feed
from .network import CudaNetwork
from .people import CROP_SIZE, KEYPOINTS, People
from .pictures import Cropper, picture_row

__all__ = ["DeviceBatches", "DeviceSelfie"]

Tensor: TypeAlias = torch.Tensor
Floats = npt.NDArray[np.float64]
VIEWS = (1, 8, 64)
REGIONS = (1, 2, 4, 8, 16)
HEATMAP_SIZE = 64
FEW_REGIONS = 1  # so many are run by the network that is tuned for one picture
PEOPLE_IN_A_VIEW = (1, 10)  # more are rounded up to a power of two


class DeviceBatches:
    """BlazePose's networks, see `posemask.models.blazepose.Batches`.

    The networks are compiled here, and what a picture of few people needs is captured. The rest is captured (not
    compiled) when it is first needed.

    Args:
        place: where the kernels run.
        detector, landmarks: the published graphs.
        segmentation: make masks.
        face_detectors: the graphs of `posemask.models.faces.FACE_DETECTORS`, for the thorough search.
    """

    def __init__(
        self,
        place: Kernels,
        detector: Graph,
        landmarks: Graph,
        *,
        segmentation: bool,
        face_detectors: Sequence[Graph] = (),
    ) -> None:
        self._table = Feed(torch.zeros((1, 6), dtype=torch.int64), place.device)
        self._row = torch.zeros(max(*VIEWS, *REGIONS), dtype=torch.int32, device=place.device)
        graph = landmarks.keep_outputs(OUTPUTS_WITH_MASK if segmentation else OUTPUTS_WITHOUT_MASK)
        one, many = (CudaNetwork(graph, place, batch=count, precise=True) for count in (FEW_REGIONS, REGIONS[-1]))
        self._observations = _Kept(
            lambda count: _Observation(
                place, one if count <= FEW_REGIONS else many, self._table.tensor, self._row, count, segmentation
            )
        )
        self._point_at(torch.zeros((DETECTOR_SIZE, DETECTOR_SIZE, 3), dtype=torch.uint8, device=place.device))
        self._looks = self._looks_of(Detector(place, detector, VIEWS[-1], exact=True))
        self._face_looks = [
            self._looks_of(Detector(place, graph, VIEWS[-1], anchors=spec.anchors(), exact=True))
            for spec, graph in zip(FACE_DETECTORS, face_detectors, strict=bool(face_detectors))
        ]
        for most in PEOPLE_IN_A_VIEW:
            self._looks(VIEWS[0], most)
        for count in REGIONS[:4]:
            self._observations(count)

    def look(self, image: Tensor, views: Floats, most: int, min_score: float) -> Candidates:
        self._point_at(image)
        return joined([candidates_in(*found) for found in _found_in(self._looks, views, most, min_score)])

    def look_for_faces(self, image: Tensor, views: Floats, min_score: float) -> tuple[Faces, ...]:
        self._point_at(image)
        return tuple(
            joined([faces_in(*found) for found in _found_in(looks, views, MOST_FACES, min_score)])
            for looks in self._face_looks
        )

    def observe(self, image: Tensor, rois: Floats) -> tuple[Landmarks, npt.NDArray[np.float32] | None]:
        self._point_at(image)
        goes = []
        for first in range(0, len(rois), REGIONS[-1]):
            some = rois[first : first + REGIONS[-1]]
            goes.append(self._observations(_fitting(REGIONS, len(some))).run(some))
        values, visibility, presence, score, clarity, *masks = (
            np.concatenate(column) for column in zip(*goes, strict=True)
        )
        landmarks = Landmarks(
            xyz=values[:, :KEYPOINTS],
            auxiliary_xy=values[:, KEYPOINTS:-KEYPOINTS, :2],
            world=values[:, -KEYPOINTS:],
            visibility=visibility,
            presence=presence,
            score=score,
            clarity=clarity,
            roi=rois,
        )
        return landmarks, masks[0] if masks else None

    def _looks_of(self, detector: Detector) -> _Kept:
        return _Kept(lambda count, most: _Look(detector, self._table.tensor, self._row, count, most))

    def _point_at(self, image: Tensor) -> None:
        self._picture = image  # must live as long as its address is in the table
        with torch.inference_mode():
            self._table.set(torch.tensor([picture_row(image, (image.shape[0], image.shape[1]), "rgb")]))


class DeviceSelfie:
    """Selfie Segmentation: `whole` of `posemask.models.selfie.Selfie`, as one graph."""

    def __init__(self, place: Kernels, graph: Graph) -> None:
        self._table = Feed(torch.zeros((1, 6), dtype=torch.int64), place.device)
        self._map = Feed(torch.zeros((1, 2, 3), dtype=torch.float64), place.device)
        network = CudaNetwork(graph, place, batch=1)
        self._side = network.input_shape[:2]
        crops = Cropper(place, self._side, 1, border="replicate", scale=1 / 255, offset=0.0, from_rois=False)
        row = torch.zeros(1, dtype=torch.int32, device=place.device)
        probabilities = torch.zeros((1, *self._side), device=place.device)
        self._result = Download(probabilities)
        self._point_at(torch.zeros((*self._side, 3), dtype=torch.uint8, device=place.device))

        def work() -> None:
            crops.maps.copy_(self._map.tensor)
            (made,) = network(crops.run(self._table.tensor, row, 1))
            probabilities.copy_(made.reshape(probabilities.shape))

        self._work = Captured(work, place.device)

    def __call__(self, image: Tensor) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            self._point_at(image)
            self._work.run()
            masks: list[npt.NDArray[np.float32]] = self._result.first(1)
        return np.asarray(masks[0][0])

    def _point_at(self, image: Tensor) -> None:
        size_hw = (image.shape[0], image.shape[1])
        self._picture = image  # must live as long as its address is in the table
        self._table.set(torch.tensor([picture_row(image, size_hw, "rgb")]))
        self._map.set(np.array([image_from_resized(size_hw, self._side, half_pixel=False)]))


class _Look:
    """A detector on `count` views at once, as one graph."""

    def __init__(self, detector: Detector, table: Tensor, row: Tensor, count: int, most: int) -> None:
        device = table.device
        self._size = detector.size
        self._maps = Feed(torch.zeros((count, 2, 3), dtype=torch.float64), device)
        self._min_score = Feed(torch.ones(1), device)
        people = torch.zeros((count, most, detector.values), device=device)
        scores = torch.zeros((count, most), device=device)
        self._results = Download(people, scores)

        def work() -> None:
            found = detector.run(table, row[:count], self._maps.tensor, most, self._min_score.tensor)
            people.copy_(found[0])
            scores.copy_(found[1])

        self._work = Captured(work, device)

    def run(self, views: Floats, min_score: float) -> list[npt.NDArray[Any]]:
        with torch.inference_mode():
            self._maps.set(image_from_crop(views, self._size))
            self._min_score.set([min_score])
            self._work.run()
            return self._results.first(len(views))


class _Observation:
    """The landmark network on `count` regions at once, as one graph."""

    def __init__(
        self, place: Kernels, network: CudaNetwork, table: Tensor, row: Tensor, count: int, segmentation: bool
    ) -> None:
        device = place.device
        self._rois = Feed(torch.ones((count, 4), dtype=torch.float64), device)
        crops = Cropper(
            place,
            (CROP_SIZE, CROP_SIZE),
            count,
            border="replicate",
            scale=1 / 255,
            offset=0.0,
            from_rois=True,
            exact=True,
        )
        people = People(place, count, smooth=False, min_presence=0.0)
        people.has_roi.fill_(1)
        dt = torch.ones(count, dtype=torch.float64, device=device)
        values = torch.zeros_like(people.values)
        clarity = torch.zeros(count, device=device)
        masks = [torch.zeros((count, CROP_SIZE, CROP_SIZE), device=device)] if segmentation else []
        self._results = Download(values, people.visibility, people.presence, people.score, clarity, *masks)

        def work() -> None:
            people.roi.copy_(self._rois.tensor)
            people.has_roi.fill_(1)
            people.alive.zero_()
            outputs = network(crops.run(table, row, count, people.roi))
            raw, score, heatmap, metres = outputs[:4]
            people.run(raw, score, heatmap, metres, dt)
            values.copy_(people.values)
            clarity.copy_(heatmap_clarity(heatmap.reshape(count, HEATMAP_SIZE, HEATMAP_SIZE, -1).float()))
            for mask in masks:
                mask.copy_(outputs[4].reshape(mask.shape).float().sigmoid())

        self._work = Captured(work, device)

    def run(self, rois: Floats) -> list[npt.NDArray[Any]]:
        with torch.inference_mode():
            self._rois.set(rois)
            self._work.run()
            return self._results.first(len(rois))


class _Kept:
    """What is made once for each set of arguments."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._made: dict[tuple[int, ...], Any] = {}

    def __call__(self, *key: int) -> Any:
        if key not in self._made:
            self._made[key] = self._make(*key)
        return self._made[key]


def _found_in(
    looks: _Kept, views: Floats, most: int, min_score: float
) -> Iterator[tuple[int, Floats, npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Of each view in turn: its number, the view, and whom a detector found there with which scores."""
    wanted = next((step for step in PEOPLE_IN_A_VIEW if step >= most), _power_of_two(most))
    for first in range(0, len(views), VIEWS[-1]):
        some = views[first : first + VIEWS[-1]]
        people, scores = looks(_fitting(VIEWS, len(some)), wanted).run(some, min_score)
        for i, (view, points, each) in enumerate(zip(some, people[:, :most], scores[:, :most], strict=True)):
            yield first + i, view, points[each > 0], each[each > 0]


def _fitting(steps: tuple[int, ...], count: int) -> int:
    return next(step for step in steps if step >= count)


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()

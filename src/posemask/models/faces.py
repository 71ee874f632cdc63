"""Google's two face detectors: a second witness, beside BlazePose's detector, of where people are.

The *short-range* one was made for faces within 2 m of a phone's front camera, the *full-range* one for faces up to 5 m
away. Both are small, both see a square view and name six points of each face in it, and they were trained apart from
BlazePose: what one of the three invents, the others mostly do not see. `posemask.models.search` asks them.

Anchors and decoding are MediaPipe's (``face_detection_short_range`` and ``face_detection_full_range``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ModelFileError
from ..networks.graph import Graph
from ..numbers.anchors import anchor_grid
from ..numbers.geometry import apply_affine, image_from_crop
from ..numbers.rows import Rows, joined
from ..results import Array
from .files import read_network
from .views import look_at

__all__ = ["FACE_DETECTORS", "MOST_FACES", "FaceSpec", "Faces", "faces_in", "look_for_faces", "read_face_detectors"]

Floats = npt.NDArray[np.float64]
MOST_FACES = 10  # in one view


@dataclass(frozen=True, slots=True)
class FaceSpec:
    """A published face detector.

    Attributes:
        weights: its name.
        size: side of the square input in pixels.
        grids: cells a side and anchors a cell of each of its anchor grids.
    """

    weights: str
    size: int
    grids: tuple[tuple[int, int], ...]

    def anchors(self) -> npt.NDArray[np.float32]:
        """(A, 2) centres in [0, 1]."""
        return anchor_grid(self.grids)


FACE_DETECTORS = (
    FaceSpec("face_detection_short_range", 128, ((16, 2), (8, 6))),
    FaceSpec("face_detection_full_range_sparse", 192, ((48, 1),)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Faces(Rows):
    """What a face detector found in some views.

    Attributes:
        points: (N, 6, 2) right eye, left eye, nose, mouth, right ear, left ear, in pixels of the picture.
        centers: (N, 2) of the boxes.
        sizes: (N,) of the boxes, mean of width and height.
        scores: (N,).
        views: (N,) which of the views each was found in.
    """

    points: Floats
    centers: Floats
    sizes: Floats
    scores: Floats
    views: npt.NDArray[np.intp]


def read_face_detectors() -> list[Graph]:
    """The networks of `FACE_DETECTORS`. Raises `WeightsError` if they cannot be had, `ModelFileError` for others."""
    graphs = []
    for spec in FACE_DETECTORS:
        graph, anchors = read_network(spec.weights), len(spec.anchors())
        if graph.output_shapes != ((1, anchors, 16), (1, anchors, 1)):
            raise ModelFileError(f"the network is not {spec.weights}: {graph}")
        graphs.append(graph)
    return graphs


def look_for_faces(
    networks: Sequence[Callable[[Array], tuple[Array, ...]]],
    image: npt.NDArray[np.uint8],
    views: Floats,
    min_score: float,
) -> tuple[Faces, ...]:
    """What each of the `FACE_DETECTORS` finds in square views (V, 4), V >= 1, of an image (H, W, 3) uint8 RGB."""
    found = []
    for spec, network in zip(FACE_DETECTORS, networks, strict=True):
        parts = []
        for number, (view, affine) in enumerate(zip(views, image_from_crop(views, spec.size), strict=True)):
            faces, scores = look_at(
                network, spec.anchors(), image, affine, size=spec.size, most=MOST_FACES, min_score=min_score
            )
            parts.append(faces_in(number, view, faces, scores))
        found.append(joined(parts))
    return tuple(found)


def faces_in(number: int, view: Floats, faces: Array, scores: Array) -> Faces:
    """The faces (N, 16) found in a view (4,), the ``number``-th, as of `weighted_nms`, in pixels of the picture."""
    places = apply_affine(image_from_crop(view, 1), faces.reshape(-1, 8, 2).astype(np.float64))
    corners = places[:, :2]
    return Faces(
        points=places[:, 2:],
        centers=corners.mean(axis=1),
        sizes=(corners[:, 1] - corners[:, 0]).mean(axis=1),
        scores=scores.astype(np.float64),
        views=np.full(len(scores), number),
    )

"""The face detectors with their real weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemask import read_image, runtimes
from posemask.errors import ModelFileError, WeightsError
from posemask.models import blazepose, faces
from posemask.models.search import FACE_POINTS
from posemask.numbers.geometry import letterbox_roi


@pytest.fixture(scope="module")
def networks() -> tuple[blazepose.Network, ...]:
    try:
        return tuple(runtimes.load(graph) for graph in faces.read_face_detectors())
    except WeightsError as error:
        pytest.skip(f"the face detectors cannot be had: {error}")


def found_in(networks: tuple[blazepose.Network, ...], image: np.ndarray) -> tuple[faces.Faces, ...]:
    whole = np.array([letterbox_roi(image.shape[:2])])
    return faces.look_for_faces(networks, image, whole, 0.5)


@pytest.mark.parametrize("name", ["tfjs_bodypix/three_people.jpg", "tfjs_selfie/portrait.jpg"])
def test_faces_lie_where_blazepose_sees_them(
    networks: tuple[blazepose.Network, ...], shared_data: Path, name: str
) -> None:
    """Eyes, nose and mouth within a quarter of the size of the face of what a network trained apart from these says."""
    image = read_image(shared_data / "groundtruth" / name)
    model = blazepose.load("full")
    people = blazepose.observe_landmarks(model, image, blazepose.detect(model, image, 10))
    expected = np.stack([people.xyz[:, keypoints, :2].mean(axis=1) for keypoints in FACE_POINTS], axis=1)
    for found in found_in(networks, image):
        assert len(found) == len(expected)
        apart = np.linalg.norm(found.points[:, None, :4] - expected[None], axis=-1).mean(axis=-1)
        assert (apart.min(axis=1) < 0.25 * found.sizes).all()
        assert len(set(apart.argmin(axis=1))) == len(expected)
        assert (found.scores > 0.7).all()
        assert (np.linalg.norm(found.centers - found.points[:, 2], axis=1) < 0.3 * found.sizes).all()


def test_mirrored_faces_are_mirrored(networks: tuple[blazepose.Network, ...], shared_data: Path) -> None:
    image = read_image(shared_data / "groundtruth" / "tfjs_selfie" / "portrait.jpg")
    for one, other in zip(found_in(networks, image), found_in(networks, image[:, ::-1].copy()), strict=True):
        mirrored = one.points[0, [1, 0, 2, 3, 5, 4]] * [-1, 1] + [image.shape[1] - 1, 0]
        assert np.linalg.norm(mirrored - other.points[0], axis=1).max() < 0.1 * one.sizes[0]


def test_views_are_numbered(networks: tuple[blazepose.Network, ...], shared_data: Path) -> None:
    image = read_image(shared_data / "groundtruth" / "tfjs_selfie" / "portrait.jpg")
    whole = letterbox_roi(image.shape[:2])
    views = np.array([[-5000.0, -5000, 100, 0], whole, whole])
    for found in faces.look_for_faces(networks, image, views, 0.5):
        assert found.views.tolist() == [1, 2]
        np.testing.assert_array_equal(found.points[0], found.points[1])


def test_a_picture_without_faces(networks: tuple[blazepose.Network, ...]) -> None:
    for found in found_in(networks, np.full((200, 300, 3), 90, np.uint8)):
        assert len(found) == 0
        assert found.points.shape == (0, 6, 2)


def test_other_networks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        selfie = faces.read_network("selfie_segmentation")
    except WeightsError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(faces, "read_network", lambda name: selfie)
    with pytest.raises(ModelFileError, match="face_detection_short_range"):
        faces.read_face_detectors()

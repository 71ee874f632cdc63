"""The networks as TensorFlow.js publishes them against the same networks in TFLite files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from posemask import runtimes, weights
from posemask.errors import ModelFileError, WeightsError
from posemask.models import blazepose, selfie
from posemask.models.tfjs_twins import detector_like_tflite, landmarks_like_tflite, selfie_like_tflite
from posemask.networks.graph import Graph
from posemask.networks.read_tfjs import read_tfjs
from posemask.networks.read_tflite import read_tflite

PICTURES = ["groundtruth/tfjs_pose/pose.jpg", "groundtruth/ccp/public/photos/0008.jpg", "images/yoga.jpg"]


def tflite(name: str) -> Graph:
    try:
        return read_tflite(weights.path(name))
    except WeightsError as error:
        pytest.skip(f"no weights: {error}")


def picture(shared_data: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(shared_data / name).convert("RGB"))


def pose_model(landmarks: Graph) -> blazepose.BlazePose:
    graph = landmarks.keep_outputs(blazepose.OUTPUTS_WITH_MASK)
    detector = runtimes.load(tflite("pose_detection"), threads=1)
    return blazepose.BlazePose(detector=detector, landmarker=runtimes.load(graph, threads=1), segmentation=True)


def test_blazepose_lite(shared_data: Path) -> None:
    ours = pose_model(tflite("pose_landmark_lite"))
    graph = read_tfjs(shared_data / "weights/blazepose_lite_tfjs/blazepose-lite.json")
    theirs = pose_model(landmarks_like_tflite(graph))
    for name in PICTURES:
        image = picture(shared_data, name)
        (a,), (b,) = blazepose.estimate(ours, image), blazepose.estimate(theirs, image)
        assert np.abs(a.xy - b.xy).max() <= 0.5
        assert a.world is not None
        assert b.world is not None
        assert np.abs(a.world - b.world).max() <= 0.003
        assert a.segmentation is not None
        assert b.segmentation is not None
        mask_a, mask_b = (np.asarray(p.segmentation.mask) > 0.5 for p in (a, b))
        assert np.count_nonzero(mask_a & mask_b) / np.count_nonzero(mask_a | mask_b) >= 0.995


def test_selfie(shared_data: Path) -> None:
    spec = selfie.MODEL_TYPES["general"]
    ours = selfie.Selfie(spec=spec, network=runtimes.load(tflite(spec.weights), threads=1))
    graph = read_tfjs(shared_data / "weights/selfie_segmentation/selfie.json")
    theirs = selfie.Selfie(spec=spec, network=selfie_like_tflite(runtimes.load(graph, threads=1)))
    for name in [*PICTURES, "groundtruth/tfjs_selfie/portrait.jpg"]:
        image = picture(shared_data, name)
        a, b = (np.asarray(selfie.estimate(model, image)[0].mask) > 0.5 for model in (ours, theirs))
        assert np.count_nonzero(a & b) / np.count_nonzero(a | b) >= 0.995


def test_a_tflite_graph_stays_as_it_is() -> None:
    graph = tflite("pose_landmark_lite")
    assert landmarks_like_tflite(graph) is graph


def test_another_network_is_refused(shared_data: Path) -> None:
    with pytest.raises(ModelFileError, match="no BlazePose"):
        landmarks_like_tflite(read_tfjs(shared_data / "weights/selfie_segmentation/selfie.json"))


def test_detector_is_split() -> None:
    joined = np.random.default_rng(0).random((1, 2254, 13))
    boxes, logits = detector_like_tflite(lambda tensor: (tensor,))(joined)
    np.testing.assert_array_equal(boxes, joined[..., 1:])
    np.testing.assert_array_equal(logits, joined[..., :1])

"""The catalogue is complete and says for each model what the store relies on."""

from __future__ import annotations

import re

import pytest

from posemask.weights import CATALOGUE, DEFAULT_NAMES, PublishedModel


def test_the_default_models_are_those_of_blazepose_its_search_and_selfie_segmentation() -> None:
    assert DEFAULT_NAMES == (
        "pose_detection",
        "pose_landmark_lite",
        "pose_landmark_full",
        "pose_landmark_heavy",
        "selfie_segmentation",
        "selfie_segmentation_landscape",
        "face_detection_short_range",
        "face_detection_full_range_sparse",
    )


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_is_well_formed(name: str) -> None:
    model = CATALOGUE[name]
    assert model.name == name
    assert re.fullmatch(r"[a-z0-9_]+", name)
    assert model.address.startswith("https://")
    assert model.licence == "Apache-2.0"
    assert model.description
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in model.sha256)
    if model.format == "tflite":
        assert model.size
        assert model.sha256
        assert any(file.client == "npm" for file in model.packages)
        assert f"{name}.tflite" in model.address


def test_no_two_entries_share_an_address_or_a_hash() -> None:
    addresses = [model.address for model in CATALOGUE.values()]
    hashes = [digest for model in CATALOGUE.values() for digest in model.sha256]
    assert len(set(addresses)) == len(addresses)
    assert len(set(hashes)) == len(hashes)


def test_every_published_bodypix_has_a_name() -> None:
    def of(prefix: str) -> list[PublishedModel]:
        return [model for name, model in CATALOGUE.items() if name.startswith(prefix)]

    assert len(of("bodypix_mobilenet_v1_")) == 3 * 3 * 3
    assert len(of("bodypix_resnet50_")) == 3 * 2
    folder = "https://storage.googleapis.com/tfjs-models/savedmodel/bodypix"
    assert (
        CATALOGUE["bodypix_mobilenet_v1_075_quant2_stride16"].address
        == f"{folder}/mobilenet/quant2/075/model-stride16.json"
    )
    assert CATALOGUE["bodypix_resnet50_float_stride32"].address == f"{folder}/resnet50/float/model-stride32.json"

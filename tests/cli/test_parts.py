"""``posemask parts`` and ``posemask blur --parts`` with a segmenter that answers at once."""

from __future__ import annotations

import json

import numpy as np
import pytest

import posemask
from posemask.bodies import NO_PART, PART_COLORS, PARTS
from posemask.media import read_image, write_image
from posemask.pixels import native
from posemask.results import Mask, Pose, Segmentation

TORSO, HAND = PARTS.index("torso_front"), PARTS.index("left_hand")


class OnePerson:
    """The left half of every picture is a torso, with a hand in its upper quarter; nobody in black pictures."""

    def segment_people(self, image, *, timestamp=None, multi_segmentation=False, segment_body_parts=False):
        assert segment_body_parts
        if image.max() == 0:
            return []
        height, width = image.shape[:2]
        labels = np.full((height, width), NO_PART, np.uint8)
        labels[:, : width // 2] = TORSO
        labels[: height // 4, : width // 2] = HAND
        mask = Mask(
            probabilities=(labels != NO_PART).astype(np.float32), image_from_crop=np.eye(2, 3), size_hw=(height, width),
            paste=native.paste,
        )  # fmt: skip
        ones = np.ones(33, np.float32)
        pose = Pose(
            xy=np.zeros((33, 2), np.float32), z=ones, visibility=ones / 2, presence=ones,
            world=np.zeros((33, 3), np.float32), score=0.9, box=np.zeros(4, np.float32),
        )  # fmt: skip
        return [Segmentation(mask=mask, part_labels=labels, pose=pose)]

    def reset(self):
        pass


@pytest.fixture(autouse=True)
def one_person(monkeypatch):
    made = []

    def create_segmenter(model, **options):
        made.append(model)
        return OnePerson()

    monkeypatch.setattr(posemask, "create_segmenter", create_segmenter)
    monkeypatch.setattr("posemask.cli.options._fetch", lambda *names: None)
    return made


@pytest.fixture
def photo(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    write_image(tmp_path / "photo.png", noise)
    return tmp_path / "photo.png"


def test_parts_in_colours(run, photo, tmp_path):
    assert run("parts", photo, "-o", tmp_path / "out.png").status == 0
    before, after = read_image(photo), read_image(tmp_path / "out.png")
    np.testing.assert_array_equal(after[:, 30:], before[:, 30:])
    mean = after[15:, :30].reshape(-1, 3).mean(axis=0)
    assert np.abs(mean - (0.65 * np.array(PART_COLORS[TORSO]) + 0.35 * 127)).max() < 12


def test_labels_are_the_parts_numbers(run, photo, tmp_path):
    assert run("parts", photo, "--labels", "-o", tmp_path / "out.png").status == 0
    labels = read_image(tmp_path / "out.png")[..., 0]
    assert np.unique(labels).tolist() == sorted([HAND, TORSO, NO_PART])
    assert (labels[:10, :30] == HAND).all()


def test_areas_and_visibility_in_the_json(run, photo, tmp_path):
    assert run("parts", photo, "-o", tmp_path / "out.png", "--json", tmp_path / "out.json").status == 0
    (person,) = json.loads((tmp_path / "out.json").read_text())["frames"][0]["people"]
    assert person["parts"] == {
        "left_hand": {"area": 300, "visibility": 0.5},
        "torso_front": {"area": 900, "visibility": 0.5},
    }


def test_blurred_parts(run, photo, tmp_path, one_person):
    assert run("blur", photo, "--parts", "left_hand", "-o", tmp_path / "out.png").status == 0
    before, after = read_image(photo).astype(int), read_image(tmp_path / "out.png").astype(int)
    assert after[:6, 5:25].std() < 0.6 * before[:6, 5:25].std()
    np.testing.assert_array_equal(after[30:], before[30:])
    assert one_person == ["blazepose"]


def test_nobody_is_not_blurred(run, tmp_path):
    dark = np.zeros((20, 20, 3), np.uint8)
    write_image(tmp_path / "dark.png", dark)
    assert run("blur", tmp_path / "dark.png", "--parts", "left_face", "-o", tmp_path / "out.png").status == 0
    assert read_image(tmp_path / "out.png").max() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("blur", "--parts", "nose"), "no body part 'nose'"),
        (("parts", "--model", "general"), "knows no parts"),
        (("parts", "--model", "bodypix", "--json", "-"), "--json needs --model blazepose"),
    ],
)
def test_wrong_options(run, photo, arguments, message):
    outcome = run(*arguments, photo)
    assert outcome.status == 1
    assert message in outcome.error_line

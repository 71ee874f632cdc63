"""The commands on pictures: what they write, what they refuse, and how they go on when one of many fails."""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

import posemask
from posemask import weights
from posemask.errors import WeightsError
from posemask.media import read_color_profile, read_image, write_image

from .stand_ins import stand_in_models  # noqa: F401 (the fixture called `made`)

RED, BLUE = (200, 30, 30), (20, 40, 220)


@pytest.fixture
def photo(tmp_path):
    """A red picture, 60 x 80."""
    return make(tmp_path / "photo.png", RED)


def make(path, color, size_hw=(60, 80)):
    write_image(path, np.full((*size_hw, 3), color, np.uint8))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("made")
class TestEachCommand:
    def test_pose_as_json(self, run, photo, tmp_path):
        outcome = run("pose", photo, "-o", tmp_path / "pose.json")
        assert (outcome.status, outcome.out, outcome.err) == (0, f"{tmp_path}/pose.json\n", "")
        document = json.loads((tmp_path / "pose.json").read_text())
        assert (document["height"], document["width"], document["source"]) == (60, 80, str(photo))
        (frame,) = document["frames"]
        assert frame["time"] is None
        assert frame["people"][0]["keypoints"][0][0] == 200.0

    def test_pose_as_a_picture(self, run, photo, tmp_path, made):
        assert run("pose", photo, "-o", tmp_path / "drawn.png", "--model", "heavy", "--max-poses", 3).status == 0
        assert (read_image(tmp_path / "drawn.png") != RED).any()
        assert made["detector"]["model_type"] == "heavy"
        assert made["model"].calls == [((60, 80, 3), None, 3)]

    def test_people_are_searched_for(self, run, photo, tmp_path, made):
        assert run("pose", photo, "-o", tmp_path / "p.json", "--search", "thorough").status == 0
        assert made["detector"]["search"] == "thorough"
        for command in ("mask", "cutout", "blur"):
            model = ("--model", "blazepose")
            assert run(command, photo, "-o", tmp_path / f"{command}.png", *model, "--search", "thorough").status == 0
            assert made["detector"]["search"] == "thorough"
            assert run(command, photo, "-o", tmp_path / f"{command}-fast.png", *model).status == 0
            assert made["detector"]["search"] == "fast"
        outcome = run("mask", photo, "-o", tmp_path / "other.png", "--search", "thorough")
        assert outcome.status == 1
        assert "--model blazepose, not general" in outcome.error_line
        assert not (tmp_path / "other.png").exists()

    def test_pose_as_both(self, run, photo, tmp_path):
        outcome = run("pose", photo, "-o", tmp_path / "p.jsonl", "--render", tmp_path / "p.webp", "--json", "-")
        assert outcome.status == 0
        assert names(tmp_path) == ["p.jsonl", "p.webp", "photo.png"]
        assert outcome.out == (tmp_path / "p.jsonl").read_text()

    def test_two_results_never_share_a_file(self, run, photo, tmp_path, made):
        outcome = run("pose", photo, "-o", tmp_path / "p.json", "--json", tmp_path / "p.json")
        assert outcome.status == 1
        assert "two results would go to" in outcome.error_line
        assert names(tmp_path) == ["photo.png"]
        assert made["model"].calls == []

    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
    def test_pose_of_a_name_that_is_no_text(self, run, photo, tmp_path):
        odd = photo.rename(tmp_path / os.fsdecode(b"\xff.png"))
        assert run("pose", odd, "-o", tmp_path / "p.json").status == 0
        assert json.loads((tmp_path / "p.json").read_text())["source"] == str(odd)

    def test_pose_lies_beside_the_picture_by_default(self, run, photo, tmp_path):
        assert run("pose", photo).status == 0
        assert names(tmp_path) == ["photo.out.json", "photo.png"]

    def test_mask(self, run, photo, tmp_path, made):
        assert run("mask", photo).status == 0
        mask = np.asarray(Image.open(tmp_path / "photo.out.png"))
        assert mask.shape == (60, 80)
        assert (mask[:, :38] == 255).all()
        assert (mask[:, 42:] == 0).all()
        assert made["segmenter"]["model"] == "selfie_segmentation"
        assert made["segmenter"]["model_type"] == "general"

    def test_mask_with_a_threshold(self, run, photo, tmp_path):
        assert run("mask", photo, "--threshold", 0.5, "-o", tmp_path / "m.png").status == 0
        assert set(np.unique(read_image(tmp_path / "m.png"))) == {0, 255}

    @pytest.mark.parametrize("model", ["landscape", "blazepose", "bodypix"])
    def test_mask_with_other_models(self, run, photo, tmp_path, made, model):
        assert run("mask", photo, "--model", model, "-o", tmp_path / "m.png").status == 0
        assert np.asarray(Image.open(tmp_path / "m.png"))[:, :38].min() == 255
        expected = {"landscape": "selfie_segmentation", "blazepose": "blazepose", "bodypix": "bodypix"}
        assert made["detector" if model == "blazepose" else "segmenter"]["model"] == expected[model]

    def test_mask_of_nobody_is_black(self, run, tmp_path):
        make(tmp_path / "dark.png", (0, 0, 0))
        assert run("mask", tmp_path / "dark.png", "--model", "blazepose").status == 0
        assert read_image(tmp_path / "dark.out.png").max() == 0

    def test_blur(self, run, tmp_path):
        stripes = np.zeros((60, 80, 3), np.uint8)
        stripes[:, ::2] = 255
        write_image(tmp_path / "stripes.png", stripes)
        assert run("blur", tmp_path / "stripes.png", "--strength", 80).status == 0
        blurred = read_image(tmp_path / "stripes.out.png")
        np.testing.assert_array_equal(blurred[:, :36], stripes[:, :36])
        assert blurred[:, 44:].std() < 60

    def test_colors_keep_their_meaning(self, run, tmp_path):
        """A phone's photograph says which colours its values are; what is made of it says the same."""
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.new("RGB", (80, 60), RED).save(tmp_path / "phone.jpg", icc_profile=profile)
        assert run("blur", tmp_path / "phone.jpg", "-o", tmp_path / "blurred.jpg").status == 0
        assert run("cutout", tmp_path / "phone.jpg", "-o", tmp_path / "cut.png").status == 0
        for name in ("blurred.jpg", "cut.png"):
            assert read_color_profile(tmp_path / name) == profile

    def test_replace_by_a_color(self, run, photo, tmp_path):
        assert run("replace", photo, "--background", "#1428dc").status == 0
        image = read_image(tmp_path / "photo.out.png")
        assert (image[:, :36] == RED).all()
        assert (image[:, 44:] == BLUE).all()

    def test_replace_by_a_picture(self, run, photo, tmp_path):
        make(tmp_path / "sea.png", BLUE, (30, 30))
        assert run("replace", photo, "-b", tmp_path / "sea.png", "-o", tmp_path / "out.png").status == 0
        assert (read_image(tmp_path / "out.png")[:, 44:] == BLUE).all()

    def test_cutout(self, run, photo, tmp_path):
        assert run("cutout", photo).status == 0
        image = np.asarray(Image.open(tmp_path / "photo.out.png"))
        assert image.shape == (60, 80, 4)
        assert (image[:, :36] == (*RED, 255)).all()
        assert (image[:, 44:, 3] == 0).all()


@pytest.mark.usefixtures("made")
class TestManyInputs:
    @pytest.fixture
    def album(self, tmp_path):
        folder = tmp_path / "album"
        folder.mkdir()
        for name in ("a.png", "b.jpg", "c.webp"):
            make(folder / name, RED)
        return folder

    def test_a_folder(self, run, album, tmp_path):
        outcome = run("mask", album, "-o", tmp_path / "masks")
        assert (outcome.status, outcome.err) == (0, "")
        assert names(tmp_path / "masks") == ["a.png", "b.png", "c.png"]
        assert outcome.out.splitlines() == [f"{tmp_path}/masks/{name}.png" for name in "abc"]

    def test_quiet(self, run, album, tmp_path):
        assert run("mask", album, "-o", tmp_path / "masks", "--quiet").out == ""

    def test_what_fails_does_not_stop_the_others(self, run, album, tmp_path, shared_data):
        (album / "aa.jpg").write_text("not a picture")
        broken = shared_data / "hostile/derived/pose_truncated.jpg"
        outcome = run("mask", album, broken, album / "nowhere.png", "-o", tmp_path / "masks")
        assert outcome.status == 1
        assert names(tmp_path / "masks") == ["a.png", "b.png", "c.png"]
        errors = outcome.err.splitlines()
        assert [line[:17] for line in errors] == ["posemask: error: "] * 3
        assert [name in line for name, line in zip(("aa.jpg", "pose_truncated", "nowhere"), errors, strict=True)]

    def test_existing_files_are_kept(self, run, album, tmp_path, made):
        (tmp_path / "masks").mkdir()
        (tmp_path / "masks/b.png").write_text("precious")
        outcome = run("mask", album, "-o", tmp_path / "masks")
        assert outcome.status == 1
        assert "b.png is there already and was kept" in outcome.error_line
        assert (tmp_path / "masks/b.png").read_text() == "precious"
        assert len(made["model"].calls) == 2  # no work for nothing
        assert run("mask", album, "-o", tmp_path / "masks", "--overwrite").status == 0
        assert read_image(tmp_path / "masks/b.png").shape == (60, 80, 3)

    def test_beside_the_inputs_twice(self, run, album):
        assert run("cutout", album).status == 0
        assert run("cutout", album, "--overwrite").status == 0
        assert names(album) == ["a.out.png", "a.png", "b.jpg", "b.out.png", "c.out.png", "c.webp"]


class TestRefused:
    def test_a_single_failure_is_the_commands(self, run, tmp_path, made):
        outcome = run("mask", tmp_path / "nowhere.png")
        assert outcome.status == 1
        assert "nowhere.png cannot be read: No such file" in outcome.error_line
        assert names(tmp_path) == []

    @pytest.mark.parametrize(
        ("arguments", "what"),
        [
            (["mask", "a*.xyz"], "no file matches"),
            (["mask", "a.png", "b.png", "-o", "c.png"], "need a folder"),
            (["blur", "a.png", "--edge", "0.4"], "--edge"),
            (["blur", "a.png", "--edge", "0.9,0.4"], "the smaller first"),
            (["blur", "a.png", "--edge", "nan,1"], "--edge"),
            (["replace", "a.png", "-b", "."], "is a folder"),
            (["replace", "a.png", "-b", ""], "a file or a colour"),
            (["blur", "a.png", "--start", "5", "--end", "2"], "--end"),
            (["replace", "a.png", "-b", "no-such-color"], "a file or a colour"),
        ],
    )
    def test_wrong_usage(self, run, made, arguments, what):
        outcome = run(*arguments)
        assert outcome.status == 1
        assert what in outcome.error_line
        assert "model" not in made  # before anything is loaded

    @pytest.mark.parametrize(
        "arguments", [["blur", "a.png", "--strength", "0"], ["mask", "a.png", "--model", "x"], ["pose"]]
    )
    def test_wrong_options(self, run, arguments):
        assert run(*arguments).status == 2

    def test_a_picture_that_cannot_hold_the_result(self, run, photo, tmp_path, made):
        outcome = run("cutout", photo, "-o", tmp_path / "cut.jpg")
        assert outcome.status == 1
        assert "JPEG has no alpha" in outcome.error_line
        assert names(tmp_path) == ["photo.png"]


class TestStandardStreams:
    @pytest.fixture
    def streams(self, monkeypatch, photo):
        class Stream(io.TextIOWrapper):
            def __init__(self, data=b""):
                super().__init__(io.BytesIO(data), encoding="utf-8")

        monkeypatch.setattr(sys, "stdin", Stream(photo.read_bytes()))
        return Stream

    def test_a_picture_through_a_pipe(self, monkeypatch, streams, made):
        out = streams()
        monkeypatch.setattr(sys, "stdout", out)
        assert posemask.cli.main(["cutout", "-", "-o", "-"]) == 0
        with Image.open(io.BytesIO(out.buffer.getvalue())) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (80, 60))

    def test_poses_of_a_picture_that_comes_through_a_pipe(self, run, streams, made):
        outcome = run("pose", "-")
        head, frame = map(json.loads, outcome.out.splitlines())
        assert head["source"] == "standard input"
        assert frame["people"][0]["score"] == 0.75


class TestTheRealModels:
    """End to end, from the command line to the pixels."""

    @pytest.fixture(autouse=True)
    def need(self):
        try:
            for name in ("pose_detection", "pose_landmark_full", "selfie_segmentation"):
                weights.path(name)
        except WeightsError as error:
            pytest.skip(f"no weights: {error}")

    def test_pose(self, run, shared_data, tmp_path):
        golden = json.loads((shared_data / "golden/images.json").read_text())["groundtruth/tfjs_pose/pose.jpg"]
        for name in ("groundtruth/tfjs_pose/pose.jpg", "hostile/derived/pose_exif6.jpg"):
            assert run("pose", shared_data / name, "-o", tmp_path / "pose.json", "--overwrite").status == 0
            (frame,) = json.loads((tmp_path / "pose.json").read_text())["frames"]
            xy = np.array(frame["people"][0]["keypoints"])[:, :2]
            expected = np.array(golden["poses"]["full"][0]["xyz"])[:, :2]
            distance = np.linalg.norm(xy - expected, axis=1).mean()
            assert distance < (0.3 if "exif" not in name else 5.0), name  # the second has been through JPEG twice

    def test_mask(self, run, shared_data, tmp_path):
        assert (
            run("mask", shared_data / "groundtruth/tfjs_selfie/portrait.jpg", "-o", tmp_path / "mask.png").status == 0
        )
        mask = np.asarray(Image.open(tmp_path / "mask.png")).astype(int)
        golden = np.asarray(Image.open(shared_data / "golden/masks/tfjs_selfie__portrait.selfie_general.png"))
        assert np.abs(mask - golden).mean() < 0.003 * 255

"""Which files are read, and what results are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from posemask.cli.files import Destination, Source, find_sources
from posemask.errors import InputError, OutputError


def names(sources):
    return [source.path.name for source in sources]


class TestInputs:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        for name in ("b.jpg", "a.png", "c.MP4", "notes.txt", "a.out.png", ".hidden.jpg", "sub/d.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_files_are_taken_as_they_are_named(self):
        assert names(find_sources(["b.jpg", "notes.txt", "nowhere.jpg"])) == ["b.jpg", "notes.txt", "nowhere.jpg"]

    def test_a_folder_means_its_pictures_and_videos(self, folder):
        assert names(find_sources([str(folder)])) == ["a.png", "b.jpg", "c.MP4"]

    def test_patterns(self):
        assert names(find_sources(["*.jpg"])) == ["b.jpg"]
        assert names(find_sources(["**/*.jpg"])) == ["b.jpg", "d.jpg"]

    def test_a_file_whose_name_looks_like_a_pattern(self, folder):
        (folder / "a[1].jpg").touch()
        assert names(find_sources(["a[1].jpg"])) == ["a[1].jpg"]

    def test_standard_input(self):
        (source,) = find_sources(["-"])
        assert (source.path, source.name, source.stem) == (None, "standard input", "stdin")

    def test_an_empty_name_is_not_the_current_folder(self):
        with pytest.raises(InputError, match="empty name"):
            find_sources([""])
        with pytest.raises(InputError, match="empty name"):
            Destination("", several=False, picture_suffix=None, video_suffix=None)

    def test_nothing_found(self, folder):
        (folder / "empty").mkdir()
        with pytest.raises(InputError, match="holds no pictures"):
            find_sources(["empty"])
        with pytest.raises(InputError, match="no file matches"):
            find_sources(["*.xyz"])


class TestOutputs:
    def path(self, name, option=None, *, video=False, several=False, picture_suffix=None, video_suffix=None):
        destination = Destination(option, several, picture_suffix, video_suffix)
        return destination.path(Source(Path(name)), is_video=video)

    @pytest.mark.parametrize(
        ("name", "options", "expected"),
        [
            ("a/b.jpg", {}, "a/b.out.jpg"),
            ("a/b.JPG", {}, "a/b.out.jpg"),
            ("a/b.heic", {}, "a/b.out.png"),
            ("a/b.jpg", {"picture_suffix": ".png"}, "a/b.out.png"),
            ("a/b.mov", {"video": True}, "a/b.out.mov"),
            ("a/b.3gp", {"video": True}, "a/b.out.mp4"),
            ("a/b.gif", {"video": True}, "a/b.out.mp4"),
            ("a/b.mp4", {"video": True, "video_suffix": ".mov"}, "a/b.out.mov"),
            ("a/b.mp4", {"video": True, "video_suffix": ""}, "a/b.out"),
        ],
    )
    def test_beside_the_input(self, name, options, expected):
        assert self.path(name, **options) == Path(expected)

    def test_a_file(self):
        assert self.path("a/b.jpg", "out.png") == Path("out.png")

    @pytest.mark.parametrize("option", ["results", "results/"])
    def test_a_folder_is_made(self, tmp_path, option):
        path = self.path("a/b.jpg", f"{tmp_path}/deep/{option}")
        assert path == tmp_path / "deep/results/b.jpg"
        assert path.parent.is_dir()

    def test_an_existing_folder_with_a_dot(self, tmp_path):
        (tmp_path / "v1.0").mkdir()
        assert self.path("a/b.jpg", str(tmp_path / "v1.0")) == tmp_path / "v1.0/b.jpg"

    def test_a_folder_of_frames(self, tmp_path):
        options = {"video": True, "video_suffix": ""}
        assert self.path("b.mp4", str(tmp_path / "frames"), **options) == tmp_path / "frames"
        assert self.path("b.mp4", f"{tmp_path}/frames/", **options) == tmp_path / "frames/b"

    def test_several_inputs_need_a_folder(self):
        with pytest.raises(InputError, match="need a folder"):
            Destination("out.png", True, None, None)

    def test_several_inputs_get_a_name_each(self, tmp_path):
        destination = Destination(str(tmp_path), True, ".png", None)
        inputs = ["x/a.jpg", "x/a.png", "y/a.jpg", "y/a.png", "y/b.png"]
        paths = [destination.path(Source(Path(name)), is_video=False).name for name in inputs]
        assert paths == ["a.png", "a-png.png", "a-jpg.png", "a-png-2.png", "b.png"]

    def test_the_standard_output(self):
        assert self.path("a.jpg", "-") is None
        assert Destination(None, False, None, None).path(Source(None), is_video=False) is None

    def test_never_the_input_itself(self, tmp_path):
        with pytest.raises(OutputError, match="would replace its input"):
            self.path(str(tmp_path / "a.jpg"), f"{tmp_path}/./a.jpg")
        with pytest.raises(OutputError, match="would replace its input"):
            self.path(str(tmp_path / "a.jpg"), str(tmp_path))

    def test_a_folder_that_cannot_be(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot make the folder"):
            self.path("a.jpg", f"{tmp_path}/file/out/")

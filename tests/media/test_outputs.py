"""Files get their name when they are complete, or leave nothing behind."""

from __future__ import annotations

import os

import pytest

from posemask.errors import OutputError
from posemask.media.outputs import PendingFile, PendingFolder, pending_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class TestFiles:
    def test_the_name_comes_last(self, tmp_path):
        with pending_file(tmp_path / "out.json") as temporary:
            temporary.write_text("{}")
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".json"
            assert not (tmp_path / "out.json").exists()
        assert names(tmp_path) == ["out.json"]
        assert (tmp_path / "out.json").read_text() == "{}"

    @pytest.mark.parametrize("stem", ["a" * 250, "名" * 83, "🕺" * 62], ids=["1 byte", "3 bytes", "4 bytes"])
    def test_the_longest_names(self, tmp_path, stem):
        with pending_file(tmp_path / f"{stem}.png") as temporary:
            temporary.write_text("")
        assert names(tmp_path) == [f"{stem}.png"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_nothing_is_left_of_what_failed(self, tmp_path, error):
        def fail():
            with pending_file(tmp_path / "out.json") as temporary:
                temporary.write_text("{")
                raise error

        with pytest.raises(error):
            fail()
        assert names(tmp_path) == []

    def test_an_existing_file_is_kept(self, tmp_path):
        (tmp_path / "out.json").write_text("old")
        with pytest.raises(OutputError, match="kept"):
            PendingFile(tmp_path / "out.json")
        assert names(tmp_path) == ["out.json"]

    def test_a_file_that_comes_meanwhile_is_kept(self, tmp_path):
        pending = PendingFile(tmp_path / "out.json")
        pending.temporary.write_text("new")
        (tmp_path / "out.json").write_text("theirs")
        with pytest.raises(OutputError, match="kept"):
            pending.commit()
        assert names(tmp_path) == ["out.json"]
        assert (tmp_path / "out.json").read_text() == "theirs"

    def test_overwrite_replaces_at_the_end(self, tmp_path):
        (tmp_path / "out.json").write_text("old")
        with pending_file(tmp_path / "out.json", overwrite=True) as temporary:
            temporary.write_text("new")
            assert (tmp_path / "out.json").read_text() == "old"
        assert (tmp_path / "out.json").read_text() == "new"

    def test_permissions_are_those_of_any_new_file(self, tmp_path):
        (tmp_path / "plain").touch()
        with pending_file(tmp_path / "out.json") as temporary:
            temporary.write_text("")
        assert (tmp_path / "out.json").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"):
            PendingFile(tmp_path / "nowhere" / "out.json")

    def test_a_folder_of_that_name(self, tmp_path):
        with pytest.raises(OutputError, match="it is a folder"):
            PendingFile(tmp_path, overwrite=True)

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_that_is_closed_to_writing(self, tmp_path):
        tmp_path.chmod(0o555)
        with pytest.raises(OutputError, match="Permission denied"):
            PendingFile(tmp_path / "out.json")


class TestFolders:
    def test_files_appear_together(self, tmp_path):
        pending = PendingFolder(tmp_path / "frames")
        (pending.temporary / "0.png").write_text("0")
        assert not (tmp_path / "frames").exists()
        pending.commit()
        assert names(tmp_path) == ["frames"]
        assert names(tmp_path / "frames") == ["0.png"]

    def test_a_folder_with_files_is_kept(self, tmp_path):
        (tmp_path / "frames").mkdir()
        PendingFolder(tmp_path / "frames").discard()
        (tmp_path / "frames" / "holiday.jpg").touch()
        with pytest.raises(OutputError, match="kept"):
            PendingFolder(tmp_path / "frames")
        assert names(tmp_path) == ["frames"]

    def test_overwrite_leaves_other_files_alone(self, tmp_path):
        (tmp_path / "frames").mkdir()
        (tmp_path / "frames" / "holiday.jpg").touch()
        (tmp_path / "frames" / "0.png").write_text("old")
        pending = PendingFolder(tmp_path / "frames", overwrite=True)
        (pending.temporary / "0.png").write_text("new")
        pending.commit()
        assert names(tmp_path / "frames") == ["0.png", "holiday.jpg"]
        assert (tmp_path / "frames" / "0.png").read_text() == "new"

    def test_discarded(self, tmp_path):
        pending = PendingFolder(tmp_path / "frames")
        (pending.temporary / "0.png").write_text("0")
        pending.discard()
        assert names(tmp_path) == []

    def test_a_file_of_that_name(self, tmp_path):
        (tmp_path / "frames").touch()
        with pytest.raises(OutputError, match="there is a file of that name"):
            PendingFolder(tmp_path / "frames", overwrite=True)

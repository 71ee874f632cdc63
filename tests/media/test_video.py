"""Reading videos: pixels and times of the goldens, and what files do to readers."""

from __future__ import annotations

import io
import itertools
import json
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from posemask.errors import InputError, VideoError
from posemask.media import is_video, read_image, read_video

from .conftest import picture

TIMES = [k / 25 for k in range(20)]


def level(image):
    """The number that `picture` painted, out of a decoded frame."""
    height, width = image.shape[:2]
    return round((float(image[-height // 4 :, width // 2 :].mean()) - 40) / 4)


def difference(a, b):
    return float(np.abs(a.astype(int) - b).mean())


def mean_rgb(image):
    """As image.mean((0, 1)), in a fortieth of its time."""
    height, width, _ = image.shape
    return image.reshape(height, -1).sum(0, dtype=np.uint32).reshape(width, 3).sum(0) / (height * width)


def test_frames_and_times_are_the_goldens(shared_data):
    golden = json.loads((shared_data / "golden/videos.json").read_text())
    for name, expected in golden.items():
        with read_video(shared_data / name) as video:
            assert video.size_hw == (expected["height"], expected["width"])
            for frame, wanted in zip(video, expected["frames"], strict=False):
                assert frame.index == wanted["index"]
                assert frame.time == pytest.approx(wanted["time"], abs=1e-6)
                np.testing.assert_allclose(mean_rgb(frame.image), wanted["mean_rgb"], atol=6e-4)


class TestFacts:
    def test_of_a_plain_video(self, make_video):
        with read_video(make_video(sound=("aac", 44_100))) as video:
            assert (video.size_hw, video.fps, video.frame_count, video.rotation) == ((48, 64), 25.0, 20, 0)
            assert video.duration == pytest.approx(0.8, abs=0.05)
            assert video.has_audio
            frames = list(video)
        assert [frame.time for frame in frames] == pytest.approx(TIMES)
        assert [frame.index for frame in frames] == list(range(20))
        assert [level(frame.image) for frame in frames] == list(range(20))
        assert all(frame.image.flags.c_contiguous and frame.image.dtype == np.uint8 for frame in frames)
        assert video.damaged == 0

    def test_frames_do_not_share_memory(self, make_video):
        with read_video(make_video()) as video:
            first, second = next(video), next(video)
        assert not np.shares_memory(first.image, second.image)

    def test_it_can_be_read_once(self, make_video):
        video = read_video(make_video())
        assert len(list(video)) == 20
        assert list(video) == []
        video.close()


class TestTimes:
    def test_irregular_times_are_kept(self, make_video):
        times = [0.0, 0.01, 0.5, 0.51, 2.0, 2.04]
        assert [frame.time for frame in read_video(make_video(times=times))] == pytest.approx(times, abs=1e-5)

    def test_of_a_real_file_with_irregular_times(self, shared_data):
        frames = [frame.time for frame in read_video(shared_data / "hostile/derived/pose_1_vfr.mp4")]
        assert len(frames) == 60
        assert sorted({round(b - a, 3) for a, b in itertools.pairwise(frames)}) == [0.017, 0.033, 0.067, 0.167]

    def test_a_video_that_starts_late_starts_at_zero(self, make_video):
        path = make_video("late.ts", times=[5.0 + k / 25 for k in range(20)])
        assert av.open(str(path)).start_time > 1_000_000
        assert [frame.time for frame in read_video(path)] == pytest.approx(TIMES, abs=1e-4)

    def test_raw_streams_without_times_get_the_usual_interval(self, make_video):
        path = make_video("raw.h264")
        times = [frame.time for frame in read_video(path)]
        assert len(times) == 20
        assert np.diff(times) == pytest.approx(1 / 25, abs=1e-6)


class TestRotation:
    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_frames_are_turned_upright(self, make_video, degrees):
        with read_video(make_video(rotate=degrees)) as video:  # counterclockwise
            frame = next(video)
        expected = np.rot90(picture(0), degrees // 90)
        assert video.rotation == 360 - degrees
        assert video.size_hw == frame.image.shape[:2] == expected.shape[:2]
        assert difference(frame.image, expected) < 4.0

    @pytest.mark.parametrize(("name", "quarter_turns"), [("rot90", 1), ("rot180", 2)])
    def test_of_real_files(self, shared_data, name, quarter_turns):
        with (
            read_video(shared_data / f"hostile/derived/basketball_{name}.mp4") as turned,
            read_video(shared_data / "videos/single_person_demo.mp4") as straight,
        ):
            assert turned.rotation == 90 * quarter_turns
            for one, other in itertools.islice(zip(turned, straight, strict=True), 3):
                np.testing.assert_array_equal(one.image, np.rot90(other.image, -quarter_turns))


class TestRange:
    @pytest.mark.parametrize("start", [0.0, 0.04, 0.1, 0.4, 0.73])
    @pytest.mark.parametrize("name", ["video.mp4", "video.mkv", "video.ts"])
    def test_start_finds_the_first_frame_from_there_on(self, make_video, name, start):
        with read_video(make_video(name), start=start) as video:
            frames = list(video)
        wanted = [k for k in range(20) if TIMES[k] >= start - 1e-4]
        assert [level(frame.image) for frame in frames] == wanted
        assert [frame.time for frame in frames] == pytest.approx([TIMES[k] for k in wanted], abs=1e-3)
        assert [frame.index for frame in frames] == list(range(len(wanted)))
        assert video.frame_count == pytest.approx(len(wanted), abs=1.1)

    def test_end_is_left_out(self, make_video):
        video = read_video(make_video(), start=0.2, end=0.4)
        assert video.frame_count == 5
        assert video.duration == pytest.approx(0.2)
        assert [frame.time for frame in video] == pytest.approx([0.2, 0.24, 0.28, 0.32, 0.36])

    def test_every(self, make_video):
        video = read_video(make_video(), every=6)
        assert video.frame_count == 4
        assert [(frame.index, level(frame.image)) for frame in video] == [(0, 0), (6, 6), (12, 12), (18, 18)]

    def test_beyond_the_end(self, make_video):
        with pytest.raises(VideoError, match=r"no pictures from 9 s on; it lasts 0\.8"):
            read_video(make_video(), start=9.0)

    @pytest.mark.parametrize("bad", [{"start": -1}, {"start": float("nan")}, {"start": 2, "end": 1}, {"every": 0}])
    def test_nonsense(self, make_video, bad):
        with pytest.raises(InputError):
            read_video(make_video(), **bad)


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("video.mkv", {"codec": "ffv1", "pixel_format": "yuv420p16le"}),
            ("video.mov", {"codec": "prores_ks", "pixel_format": "yuva444p10le"}),
            ("video.webm", {"codec": "libvpx-vp9"}),
            ("video.avi", {"codec": "mpeg4", "tick": Fraction(1, 25)}),
            ("video.mkv", {"codec": "ffv1", "pixel_format": "gray"}),
            ("odd.mkv", {"codec": "ffv1", "pixel_format": "yuv444p", "size_hw": (49, 67)}),
        ],
    )
    def test_give_the_pictures(self, make_video, name, options):
        with read_video(make_video(name, **options)) as video:
            frames = list(video)
        assert len(frames) == 20
        height, width = options.get("size_hw", (48, 64))
        for index, frame in enumerate(frames):
            expected = picture(index, height, width)
            if options.get("pixel_format") == "gray":
                expected = np.asarray(Image.fromarray(expected).convert("L").convert("RGB"))
            assert frame.image.shape == (height, width, 3)
            assert difference(frame.image, expected) < 6.0

    def test_of_real_files(self, shared_data):
        expected = {
            "av1_video.mkv": ((360, 640), 125),
            "h265_10bits.mp4": ((200, 200), 30),
            "nasa_13013.mp4": ((270, 480), 390),
            "MOV00006.3gp": ((144, 176), 222),
        }
        for name, (size_hw, count) in expected.items():
            with read_video(shared_data / "hostile/video" / name) as video:
                assert video.size_hw == size_hw
                assert sum(1 for _ in video) == count == video.frame_count, name

    @pytest.mark.parametrize("kind", ["bytes", "file", "pipe"])
    def test_not_only_from_paths(self, make_video, kind):
        data = make_video("video.mkv").read_bytes()
        source = data if kind == "bytes" else io.BytesIO(data)
        if kind == "pipe":
            source.seekable = lambda: False
            source.seek = None
        assert [level(frame.image) for frame in read_video(source)] == list(range(20))


class TestAnimations:
    @pytest.mark.parametrize(("suffix", "tolerance"), [(".gif", 6.0), (".webp", 6.0), (".png", 0.0)])
    def test_are_videos(self, tmp_path, suffix, tolerance):
        pictures = [Image.fromarray(picture(index)) for index in range(4)]
        path = tmp_path / f"animation{suffix}"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[40, 100, 0, 60], lossless=True)
        assert is_video(path)
        with read_video(path, max_pixels=48 * 64) as video:
            assert (video.size_hw, video.frame_count, video.has_audio) == ((48, 64), 4, False)
            frames = list(video)
        assert [frame.time for frame in frames] == pytest.approx([0.0, 0.04, 0.14, 0.24])
        for index, frame in enumerate(frames):
            assert difference(frame.image, picture(index)) <= tolerance

    def test_of_a_real_file(self, shared_data):
        with read_video(shared_data / "hostile/derived/pose_anim.gif") as video:
            frames = list(video)
        assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.2])
        first = read_image(shared_data / "hostile/derived/pose_anim.gif")
        np.testing.assert_array_equal(frames[0].image, first)

    def test_a_still_picture_is_none(self, tmp_path):
        for suffix in (".gif", ".png", ".webp", ".jpg"):
            path = tmp_path / f"still{suffix}"
            Image.fromarray(picture(0)).save(path)
            assert not is_video(path)
            with pytest.raises(VideoError, match="read_image reads"):
                read_video(path)


class TestDamage:
    def test_the_rest_of_a_cut_file_is_shown(self, make_video, tmp_path):
        whole = make_video("whole.ts").read_bytes()
        cut = tmp_path / "cut.ts"
        cut.write_bytes(whole[: len(whole) * 6 // 10])
        levels = [level(frame.image) for frame in read_video(cut)]
        assert 5 <= len(levels) < 20
        assert levels[:5] == [0, 1, 2, 3, 4]

    def test_damaged_packets_are_skipped_and_counted(self, make_video):
        path = make_video("video.mkv", codec="mjpeg", pixel_format="yuvj420p")
        data = bytearray(path.read_bytes())
        starts = [index for index in range(len(data)) if data.startswith(b"\xff\xd8\xff", index)]
        data[starts[7] : starts[8] - 40] = bytes(starts[8] - 40 - starts[7])
        path.write_bytes(data)
        with read_video(path) as video:
            levels = [level(frame.image) for frame in video]
        assert levels == [0, 1, 2, 3, 4, 5, 6, *range(8, 20)]
        assert video.damaged == 1

    def test_a_video_without_its_index(self, shared_data):
        with pytest.raises(VideoError, match=r"truncated_half\.mp4 is damaged or not a video"):
            read_video(shared_data / "hostile/derived/truncated_half.mp4")

    def test_nothing_decodes(self, shared_data):
        for name in ("sample_qt.mp4", "sample_init.encv.mp4"):
            with pytest.raises(VideoError, match=name):
                read_video(shared_data / "hostile/video" / name)


class TestRefused:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(VideoError, match=r"nowhere\.mp4 cannot be read: No such file"):
            read_video(tmp_path / "nowhere.mp4")

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "empty.mp4").touch()
        with pytest.raises(VideoError, match=r"empty\.mp4 is empty"):
            read_video(tmp_path / "empty.mp4")

    def test_a_folder(self, tmp_path):
        with pytest.raises(VideoError, match="is a folder"):
            read_video(tmp_path)

    def test_a_text(self, tmp_path):
        (tmp_path / "text.mp4").write_text("To be, or not to be, that is the question")
        with pytest.raises(VideoError, match="damaged or not a video"):
            read_video(tmp_path / "text.mp4")

    def test_sound_alone(self, tmp_path):
        path = tmp_path / "sound.m4a"
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=44_100, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 44_100, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with pytest.raises(VideoError, match="no video: it holds sound"):
            read_video(path)

    def test_pictures_that_are_too_large(self, make_video):
        with pytest.raises(VideoError, match="64 x 48 pixels; the limit is 3071"):
            read_video(make_video(), max_pixels=3071)
        assert next(read_video(make_video(), max_pixels=3072)).size_hw == (48, 64)

    def test_addresses(self):
        with pytest.raises(VideoError, match="No such file"):
            read_video("http://localhost:9/video.mp4")

    def test_other_types(self):
        with pytest.raises(VideoError, match="got int"):
            read_video(3)
        with pytest.raises(VideoError, match="got StringIO"):
            read_video(io.StringIO("text"))

    @pytest.mark.parametrize("name", ["a\0b.mp4", "a" * 300])
    def test_names_that_no_file_has(self, name):
        with pytest.raises(VideoError, match="cannot be read"):
            read_video(name)


def test_a_list_of_other_files_opens_none_of_them(make_video, tmp_path):
    victim = make_video("victim.mp4")
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile '{victim}'\n")
    with pytest.raises(VideoError):
        read_video(playlist)

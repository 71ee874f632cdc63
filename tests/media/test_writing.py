"""Writing pictures and videos, and reading them back."""

from __future__ import annotations

import csv
import itertools
import signal

import av
import numpy as np
import pytest

from posemask.errors import ImageError, InputError, OutputError
from posemask.media import VideoWriter, read_color_profile, read_image, read_video, write_image

from .conftest import picture

TIMES = [0.0, 0.01, 0.2, 0.24, 1.0, 1.5]


def difference(a, b):
    return float(np.abs(a.astype(int) - b).mean())


def cut_out(index, height=48, width=64):
    """A picture whose left half is transparent, its middle half so."""
    alpha = np.zeros((height, width, 1), np.uint8)
    alpha[:, width // 2 :] = 255
    alpha[height // 3 : 2 * height // 3, :] = 128
    return np.dstack([picture(index, height, width), alpha])


class TestPictures:
    @pytest.mark.parametrize(
        ("suffix", "tolerance"),
        [(".png", 0.0), (".jpg", 2.0), (".JPEG", 2.0), (".webp", 4.0), (".tif", 0.0), (".bmp", 0.0)],
    )
    def test_come_back(self, tmp_path, suffix, tolerance):
        path = tmp_path / f"picture{suffix}"
        write_image(path, picture(3))
        assert difference(read_image(path), picture(3)) <= tolerance
        assert [found.name for found in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
    def test_alpha_is_kept(self, tmp_path, suffix):
        from PIL import Image

        write_image(tmp_path / f"cut{suffix}", cut_out(0))
        with Image.open(tmp_path / f"cut{suffix}") as image:
            np.testing.assert_array_equal(np.asarray(image)[..., 3], cut_out(0)[..., 3])

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
    def test_color_profiles_are_carried(self, tmp_path, suffix):
        from PIL import Image, ImageCms

        rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.fromarray(picture(0)).save(tmp_path / "photo.png", icc_profile=rgb)
        profile = read_color_profile(tmp_path / "photo.png")
        assert profile == rgb
        with open(tmp_path / "photo.png", "rb") as file:
            assert read_color_profile(file) == rgb
        write_image(tmp_path / f"copy{suffix}", picture(0), color_profile=profile)
        assert read_color_profile(tmp_path / f"copy{suffix}") == rgb
        write_image(tmp_path / f"mask{suffix}", picture(0)[..., 0], color_profile=profile)
        with Image.open(tmp_path / f"mask{suffix}") as mask:
            assert mask.info.get("icc_profile") is None

    def test_profiles_of_converted_pictures_are_not_those_of_rgb(self, tmp_path):
        from PIL import Image, ImageCms

        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
        Image.fromarray(picture(0)).convert("CMYK").save(tmp_path / "ink.jpg", icc_profile=lab)
        assert read_color_profile(tmp_path / "ink.jpg") is None
        assert read_color_profile(picture(0)) is None
        with pytest.raises(ImageError, match="expected a path"):
            read_color_profile(7)

    def test_masks_are_greys(self, tmp_path):
        mask = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
        write_image(tmp_path / "mask.png", mask)
        np.testing.assert_array_equal(read_image(tmp_path / "mask.png")[..., 1], np.rint(mask * 255))

    def test_refused(self, tmp_path):
        with pytest.raises(OutputError, match="JPEG has no alpha"):
            write_image(tmp_path / "cut.jpg", cut_out(0))
        with pytest.raises(OutputError, match=r"suffix is one of \.png"):
            write_image(tmp_path / "picture.xyz", picture(0))
        with pytest.raises(ImageError, match="shape"):
            write_image(tmp_path / "picture.png", np.zeros((3, 4, 2), np.uint8))
        with pytest.raises(OutputError, match="16383"):
            write_image(tmp_path / "wide.webp", np.zeros((1, 16384, 3), np.uint8))
        write_image(tmp_path / "there.png", picture(0))
        with pytest.raises(OutputError, match="kept"):
            write_image(tmp_path / "there.png", picture(1))
        write_image(tmp_path / "there.png", picture(1), overwrite=True)
        assert [found.name for found in tmp_path.iterdir()] == ["there.png"]


class TestVideos:
    @pytest.mark.parametrize(
        ("name", "resolution"), [("a.mp4", 2e-5), ("a.mov", 2e-5), ("a.mkv", 5.1e-4), ("a.webm", 5.1e-4)]
    )
    def test_pictures_and_irregular_times_come_back(self, tmp_path, name, resolution):
        with VideoWriter(tmp_path / name) as writer:
            for index, time in enumerate(TIMES):
                writer.write(picture(index), time)
        with read_video(tmp_path / name) as video:
            frames = list(video)
        assert [frame.time for frame in frames] == pytest.approx(TIMES, abs=resolution)
        for index, frame in enumerate(frames):
            assert difference(frame.image, picture(index)) < 4.0
        assert video.color_tags is not None
        assert video.color_tags.matrix == 1
        assert video.duration == pytest.approx(TIMES[-1] + 1 / 30, abs=0.02)

    @pytest.mark.parametrize(("name", "size_hw"), [("odd.mp4", (50, 68)), ("odd.webm", (49, 67))])
    def test_odd_sizes(self, tmp_path, name, size_hw):
        with VideoWriter(tmp_path / name) as writer:
            writer.write(picture(0, 49, 67))
        frame = next(read_video(tmp_path / name))
        assert frame.size_hw == size_hw
        assert difference(frame.image[:49, :67], picture(0, 49, 67)) < 4.0

    def test_without_times_the_rate_counts(self, tmp_path):
        with VideoWriter(tmp_path / "a.mp4", fps=12.5) as writer:
            for index in range(5):
                writer.write(picture(index))
        with read_video(tmp_path / "a.mp4") as video:
            assert [frame.time for frame in video] == pytest.approx([0.0, 0.08, 0.16, 0.24, 0.32])
            assert video.fps == pytest.approx(12.5)

    @pytest.mark.parametrize("name", ["a.mp4", "a"])
    def test_finished_is_finished(self, tmp_path, name):
        with VideoWriter(tmp_path / name) as writer:
            writer.write(picture(0))
            writer.close()
            with pytest.raises(InputError, match="is finished"):
                writer.write(picture(1))
        writer.abort()
        assert (tmp_path / name).exists()

    @pytest.mark.parametrize(("start", "name"), [("here", "."), ("here/below", ".."), ("here", "../here")])
    def test_frames_into_the_current_folder(self, tmp_path, monkeypatch, start, name):
        (tmp_path / start).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / start)
        with VideoWriter(name, overwrite=True) as writer:
            writer.write(picture(0))
        assert (tmp_path / "here/000000.png").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["here"]

    def test_times_closer_than_the_format_can_tell(self, tmp_path):
        with VideoWriter(tmp_path / "a.mkv") as writer:
            for index in range(4):
                writer.write(picture(index), index * 1e-4)
        assert [frame.time for frame in read_video(tmp_path / "a.mkv")] == pytest.approx([0, 0.001, 0.002, 0.003])

    def test_masks_and_other_sizes(self, tmp_path):
        with VideoWriter(tmp_path / "a.mp4") as writer:
            writer.write(np.full((48, 64), 0.5, np.float32))
            writer.write(np.full((24, 32), 0.5, np.float32))
        frames = list(read_video(tmp_path / "a.mp4"))
        assert [frame.size_hw for frame in frames] == [(48, 64), (48, 64)]
        assert all(np.abs(frame.image.astype(int) - 128).max() <= 3 for frame in frames)

    def test_colors_that_are_not_tagged_stay_so(self, make_video, tmp_path):
        with read_video(make_video()) as video, VideoWriter(tmp_path / "copy.mp4", like=video) as writer:
            assert video.color_tags is not None
            assert video.color_tags.matrix == 2
            originals = [frame for frame in video if writer.write(frame.image, frame.time) is None]
        with read_video(tmp_path / "copy.mp4") as copy:
            assert copy.color_tags is not None
            assert copy.color_tags.matrix == 2
            for frame, original in zip(copy, originals, strict=True):
                assert difference(frame.image, original.image) < 3.0

    def test_frame_folders(self, tmp_path):
        with VideoWriter(tmp_path / "frames", alpha=True) as writer:
            for index, time in enumerate(TIMES):
                writer.write(cut_out(index), time)
            assert not (tmp_path / "frames").exists()
        with (tmp_path / "frames/times.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [float(row["time"]) for row in rows] == pytest.approx(TIMES)
        assert [row["file"] for row in rows] == [f"{index:06d}.png" for index in range(6)]
        np.testing.assert_array_equal(read_image(tmp_path / "frames/000003.png"), picture(3))


class TestAlpha:
    @pytest.mark.parametrize("name", ["cut.mov", "cut.webm"])
    def test_comes_back(self, tmp_path, name):
        with VideoWriter(tmp_path / name, alpha=True) as writer:
            for index in range(3):
                writer.write(cut_out(index))
        for index, frame in enumerate(self.decode(tmp_path / name)):
            rgba = frame.to_ndarray(format="rgba")
            assert difference(rgba[..., 3], cut_out(index)[..., 3]) < 4.0
            assert difference(rgba[:, 40:, :3], picture(index)[:, 40:]) < 6.0

    def test_pictures_without_alpha_are_opaque(self, tmp_path):
        with VideoWriter(tmp_path / "a.mov", alpha=True) as writer:
            writer.write(picture(0))
        (frame,) = self.decode(tmp_path / "a.mov")
        assert frame.to_ndarray(format="rgba")[..., 3].min() == 255

    def test_formats_without_alpha_are_refused(self, tmp_path):
        with pytest.raises(OutputError, match=r"a video with alpha is one of \.mov, \.webm"):
            VideoWriter(tmp_path / "a.mp4", alpha=True)

    @staticmethod
    def decode(path):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.codec_context.name != "vp9":
                yield from container.decode(stream)
                return
            # FFmpeg's own VP9 decoder leaves alpha out; libvpx, as browsers use it, does not.
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            for packet in container.demux(stream):
                if packet.size:
                    yield from decoder.decode(packet)


def sound_of(path):
    """Codec, start and end in seconds, and level of a file's sound."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        frames = list(container.decode(stream))
        start = float(frames[0].pts * frames[0].time_base)
        end = float(frames[-1].pts * frames[-1].time_base) + frames[-1].samples / frames[-1].sample_rate
        samples = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
        level = samples.std() / (1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max)
        return stream.codec_context.codec.canonical_name, start, end, float(level)


class TestSound:
    def copy(self, source, target, **options):
        with read_video(source, **options) as video, VideoWriter(target, like=video) as writer:
            for frame in video:
                writer.write(frame.image, frame.time)
        return sound_of(target)

    @pytest.mark.parametrize(
        ("source", "sound", "target", "codec"),
        [
            ("in.mp4", ("aac", 44_100), "out.mp4", "aac"),
            ("in.mp4", ("aac", 44_100), "out.mkv", "aac"),
            ("in.mp4", ("aac", 44_100), "out.webm", "opus"),
            ("in.mkv", ("libopus", 48_000), "out.webm", "opus"),
            ("in.mkv", ("libopus", 48_000), "out.mp4", "opus"),
            ("in.mkv", ("pcm_f32le", 44_100), "out.mkv", "pcm_f32le"),
            ("in.mkv", ("wavpack", 44_100), "out.mp4", "aac"),
        ],
    )
    def test_is_copied_or_encoded_anew(self, make_video, tmp_path, source, sound, target, codec):
        original = make_video(source, sound=sound)
        before, after = sound_of(original), self.copy(original, tmp_path / target)
        assert after[0] == codec
        assert after[1] == pytest.approx(before[1], abs=0.05)
        assert after[2] == pytest.approx(before[2], abs=0.08)
        assert after[3] == pytest.approx(before[3], rel=0.2)
        with read_video(original) as one, read_video(tmp_path / target) as other:
            for a, b in zip(one, other, strict=True):
                assert b.time == pytest.approx(a.time, abs=2e-3)

    def test_packets_are_copied_as_they_are(self, make_video, tmp_path):
        original = make_video(sound=("aac", 44_100))
        self.copy(original, tmp_path / "copy.mp4")
        packets = []
        for path in (original, tmp_path / "copy.mp4"):
            with av.open(str(path)) as container:
                packets.append([(p.pts, bytes(p)) for p in container.demux(container.streams.audio[0]) if p.size])
        assert packets[0] == packets[1]

    def test_is_cut_with_the_pictures(self, make_video, tmp_path):
        times = [k / 25 for k in range(100)]
        original = make_video(times=times, sound=("aac", 44_100))
        _, start, end, _ = self.copy(original, tmp_path / "cut.mp4", start=1.0, end=2.0)
        assert start == pytest.approx(0.0, abs=0.05)
        assert end == pytest.approx(1.0, abs=0.05)
        frames = list(read_video(tmp_path / "cut.mp4"))
        assert [frame.time for frame in frames] == pytest.approx([k / 25 for k in range(25)], abs=1e-3)
        assert difference(frames[0].image, picture(25)) < 6.0

    def test_can_be_left_out(self, make_video, tmp_path):
        with (
            read_video(make_video(sound=("aac", 44_100))) as video,
            VideoWriter(tmp_path / "mute.mp4", like=video, audio=False) as writer,
        ):
            writer.write(next(video).image)
        assert not read_video(tmp_path / "mute.mp4").has_audio

    def test_of_a_real_file_that_mp4_has_no_room_for(self, shared_data, tmp_path):
        codec, start, end, _ = self.copy(shared_data / "hostile/video/MOV00006.3gp", tmp_path / "out.mp4")
        assert codec == "aac"
        assert start == pytest.approx(0.0, abs=0.05)
        assert end == pytest.approx(15.2, abs=0.1)


class TestNothingHalfDone:
    @pytest.mark.parametrize("name", ["a.mp4", "a.webm", "frames"])
    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_when_the_work_fails(self, tmp_path, name, error):
        def fail():
            with VideoWriter(tmp_path / name) as writer:
                writer.write(picture(0))
                raise error

        with pytest.raises(error):
            fail()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["a.mp4", "frames"])
    def test_when_there_are_no_pictures(self, tmp_path, name):
        with pytest.raises(OutputError, match="no pictures"):
            VideoWriter(tmp_path / name).close()
        assert list(tmp_path.iterdir()) == []

    def test_an_existing_file_is_kept(self, tmp_path):
        (tmp_path / "a.mp4").write_text("precious")
        with pytest.raises(OutputError, match="kept"):
            VideoWriter(tmp_path / "a.mp4")
        with VideoWriter(tmp_path / "a.mp4", overwrite=True) as writer:
            writer.write(picture(0))
            assert (tmp_path / "a.mp4").read_text() == "precious"
        assert [found.name for found in tmp_path.iterdir()] == ["a.mp4"]
        assert next(read_video(tmp_path / "a.mp4")).size_hw == (48, 64)

    def test_a_full_disk(self, tmp_path, small_files_only):
        noise = np.random.default_rng(0).integers(0, 256, (20, 480, 640, 3), dtype=np.uint8)

        def fill():
            with VideoWriter(tmp_path / "a.mp4") as writer:
                for image in itertools.chain(noise, noise):
                    writer.write(image)

        with pytest.raises(OutputError, match=r"cannot write .*a\.mp4"):
            fill()
        assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_files_only():
    """No file may grow beyond half a megabyte, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


class TestRefused:
    @pytest.mark.parametrize("time", [0.5, 0.2, -1.0, float("nan")])
    def test_times_that_do_not_increase(self, tmp_path, time):
        with VideoWriter(tmp_path / "a.mp4") as writer:
            writer.write(picture(0), 0.5)
            with pytest.raises(InputError, match="time"):
                writer.write(picture(1), time)

    @pytest.mark.parametrize("name", ["a.xyz", "a.png", "a.gif", "a.avi"])
    def test_formats(self, tmp_path, name):
        with pytest.raises(OutputError, match="without a suffix makes a folder"):
            VideoWriter(tmp_path / name)

    def test_rates(self, tmp_path):
        for fps in (0, -1, float("nan"), float("inf")):
            with pytest.raises(InputError, match="fps"):
                VideoWriter(tmp_path / "a.mp4", fps=fps)

    def test_pictures_of_no_known_shape(self, tmp_path):
        with pytest.raises(ImageError, match="shape"), VideoWriter(tmp_path / "a.mp4") as writer:
            writer.write(np.zeros((2, 2, 2), np.uint8))

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(OutputError, match="does not exist"):
            VideoWriter(tmp_path / "nowhere" / "a.mp4")

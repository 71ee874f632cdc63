"""Videos for the GPU's decoder: the packets on any machine, the frames on a GPU; both against the CPU's reader."""

from __future__ import annotations

import gc
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from posemask.errors import RuntimeUnavailableError, VideoError
from posemask.gpu import decode
from posemask.gpu.packets import PacketSource, colors_of
from posemask.media import VideoWriter, read_video
from posemask.media.container import ColorTags
from posemask.pixels import torch as pixels
from posemask.pixels.torch import YuvColors

DECODERS = {"H264": "h264", "HEVC": "hevc", "VP9": "vp9", "MPEG2": "mpeg2video"}
TIMES = [0.0, 0.04, 0.1, 0.12, 0.2, 0.3, 0.31, 0.4, 0.44, 0.5]


def pictures(count: int, size_hw: tuple[int, int] = (96, 160)) -> list[np.ndarray]:
    """Smooth colours that drift, so that what an encoder loses is small and a wrong order shows."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] / 160
    made = []
    for i in range(count):
        colors = [128 + 90 * np.sin(4 * x + 0.5 * i), 128 + 90 * np.cos(5 * y - 0.3 * i), 60 + 120 * (x + y) % 200]
        made.append(np.stack(colors, -1).clip(0, 255).astype(np.uint8))
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        for picture, time in zip(pictures(len(TIMES)), TIMES, strict=True):
            writer.write(picture, time=time)
    return path


def encoded(path: Path, encoder: str, **options: str) -> Path:
    """A clip with pictures that refer to later ones, where the encoder makes them."""
    with av.open(path, "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 160, "yuv420p"  # smaller is not for every decoder
        stream.codec_context.time_base = Fraction(1, 25)
        for picture in pictures(12, (160, 256)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def decoded_in_order(source: PacketSource) -> tuple[list[float], list[np.ndarray]]:
    """What a decoder that knows nothing but the packets makes of them."""
    context = av.CodecContext.create(DECODERS[source.codec], "r")
    times, frames = [], []
    for packet in [*source, None]:
        part = None
        if packet is not None:
            part = av.Packet(bytes(packet))
            part.pts, part.time_base = packet.pts, packet.time_base
        for frame in context.decode(part):
            time = source.time_of(frame.pts)
            if time is not None:
                times.append(time)
                frames.append(frame.to_ndarray(format="yuv420p"))
    return times, frames


def test_packets_need_nothing_but_themselves(clip: Path) -> None:
    source = PacketSource(str(clip))
    assert (source.codec, source.stored_hw, source.orientation.degrees) == ("H264", (96, 160), 0)
    assert source.colors == YuvColors(matrix="bt709", full_range=False)
    times, frames = decoded_in_order(source)
    source.close()
    with read_video(clip) as video:
        expected = list(video)
    assert times == [frame.time for frame in expected]
    for yuv, frame in zip(frames, expected, strict=True):
        luma, chroma = torch.from_numpy(yuv[:96]), torch.from_numpy(yuv[96:].reshape(2, 48, 80)).movedim(0, -1)
        rgb = pixels.nv12_to_rgb(luma, chroma, source.colors).numpy()
        assert np.abs(rgb.astype(int) - frame.image).max() <= 3


@pytest.mark.parametrize(
    ("name", "encoder", "options"),
    [
        ("b.mp4", "libx264", {"bf": "3"}),
        ("b.mkv", "libx264", {"bf": "3"}),
        ("b.ts", "libx264", {"bf": "2"}),
        ("x.mp4", "libx265", {"x265-params": "log-level=none"}),
        ("v.webm", "libvpx-vp9", {"deadline": "realtime"}),
        ("m.mpg", "mpeg2video", {"bf": "2"}),
    ],
)
def test_times_are_the_cpu_readers(tmp_path: Path, name: str, encoder: str, options: dict[str, str]) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {encoder}")
    path = encoded(tmp_path / name, encoder, **options)
    source = PacketSource(str(path))
    times, _ = decoded_in_order(source)
    source.close()
    with read_video(path) as video:
        assert times == [frame.time for frame in video]


def test_what_is_not_for_the_gpus_decoder_says_so(tmp_path: Path) -> None:
    path = encoded(tmp_path / "old.avi", "mpeg4")
    with pytest.raises(VideoError, match=r"mpeg4 video.*on the CPU"):
        PacketSource(str(path))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match="damaged or not a video"):
        PacketSource(str(tmp_path / "text.mp4"))


class FakeCodec:
    """A decoder that gives a grey picture for each packet, has trouble with some, and keeps the last to the end."""

    VideoPacketFlag = SimpleNamespace(ENDOFSTREAM=1)
    PacketData = SimpleNamespace

    def __init__(self, refused: range = range(0), sizes: tuple[tuple[int, int], ...] = ((96, 160),)) -> None:
        self._refused, self._sizes, self._given, self._held = refused, sizes, 0, []

    def Decode(self, data: SimpleNamespace) -> list[np.ndarray]:
        ready, self._held = self._held, []
        if hasattr(data, "decode_flag"):
            return ready
        self._given += 1
        if self._given - 1 in self._refused:
            self._held = ready
            raise RuntimeError("what the decoder says")
        height, width = self._sizes[min(self._given - 1, len(self._sizes) - 1)]
        picture = np.full((height * 3 // 2, width), 128, np.uint8).view(Surface)
        picture.pts = data.pts
        self._held = [picture]
        return ready


class Surface(np.ndarray):
    pts: int

    def getPTS(self) -> int:
        return self.pts


def test_surfaces_come_with_their_times_to_the_last(clip: Path) -> None:
    source, codec = PacketSource(str(clip)), FakeCodec(refused=range(3, 5))
    surfaces = decode.Surfaces(source, codec, codec, threading.Event())
    times = [time for time, surface in surfaces if surface.shape == (144, 160)]
    source.close()
    assert surfaces.refused == 2
    assert sorted(times) == pytest.approx(times)
    assert len(times) == len(TIMES) - 2
    assert times[-1] == pytest.approx(TIMES[-1])


@pytest.mark.parametrize(
    ("codec", "problem"),
    [
        (FakeCodec(refused=range(1000)), r"makes no picture of it.*on the CPU"),
        (FakeCodec(sizes=((96, 160), (96, 160), (48, 80))), r"changes the size.*on the CPU"),
    ],
)
def test_what_the_gpus_decoder_cannot_do_says_so(clip: Path, codec: FakeCodec, problem: str) -> None:
    source = PacketSource(str(clip))
    with pytest.raises(VideoError, match=problem):
        list(decode.Surfaces(source, codec, codec, threading.Event()))
    source.close()


@pytest.mark.parametrize(
    ("matrix", "range_", "pixel_format", "expected"),
    [
        (1, 1, "yuv420p", YuvColors(matrix="bt709")),
        (2, 0, "yuv420p", YuvColors(matrix="bt601")),
        (6, 2, "yuv420p", YuvColors(matrix="bt601", full_range=True)),
        (9, 1, "yuv420p", YuvColors(matrix="bt2020")),
        (5, 0, "yuvj420p", YuvColors(matrix="bt601", full_range=True)),
    ],
)
def test_colors_of_tags(matrix: int, range_: int, pixel_format: str, expected: YuvColors) -> None:
    assert colors_of(ColorTags(matrix=matrix, range=range_, transfer=2, primaries=2), pixel_format) == expected


def test_without_a_gpu_the_reader_says_so(clip: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeUnavailableError, match="CUDA"):
        decode.read_video(clip)


# --- on a GPU --------------------------------------------------------------------------------------------------------


@pytest.fixture
def nvdec() -> None:
    pytest.importorskip("PyNvVideoCodec", reason="decoding on the GPU needs posemask[nvdec]")


def same_frames(path: Path) -> None:
    with read_video(path) as expected, decode.read_video(path) as video:
        assert (video.size_hw, video.rotation, video.fps) == (expected.size_hw, expected.rotation, expected.fps)
        count = 0
        for ours, theirs in zip(video, expected, strict=True):
            assert (ours.time, ours.index) == (theirs.time, theirs.index)
            difference = np.abs(ours.image.cpu().numpy().astype(int) - theirs.image)
            # FFmpeg's own conversion drops fractions, a level a channel; the numbers before it are the same.
            assert difference.max() <= 6
            assert difference.mean() < 1.5
            count += 1
    assert count > 0


@pytest.mark.gpu
@pytest.mark.usefixtures("nvdec")
def test_frames_are_the_cpu_readers(clip: Path) -> None:
    same_frames(clip)


@pytest.mark.gpu
@pytest.mark.usefixtures("nvdec")
@pytest.mark.parametrize(
    ("name", "encoder", "options"),
    [
        ("b.mp4", "libx264", {"bf": "3"}),
        ("x.mp4", "libx265", {"x265-params": "log-level=none"}),
        ("v.webm", "libvpx-vp9", {"deadline": "realtime"}),
        ("m.mpg", "mpeg2video", {"bf": "2"}),
    ],
)
def test_frames_of_other_encoders(tmp_path: Path, name: str, encoder: str, options: dict[str, str]) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {encoder}")
    same_frames(encoded(tmp_path / name, encoder, **options))


@pytest.mark.gpu
@pytest.mark.usefixtures("nvdec")
def test_turned_pictures_are_turned(clip: Path, tmp_path: Path) -> None:
    turned = turned_copy(clip, tmp_path / "turned.mp4")
    same_frames(turned)
    with decode.read_video(turned, form="nv12") as video, read_video(turned) as expected:
        frame, theirs = next(video).image.cpu(), next(iter(expected)).image
        height, width = video.size_hw
        assert (height, width) == (160, 96)
        rgb = pixels.nv12_to_rgb(frame[:height], frame[height:].reshape(height // 2, width // 2, 2), video.colors)
    assert np.abs(rgb.numpy().astype(int) - theirs).mean() < 1.5


@pytest.mark.gpu
@pytest.mark.usefixtures("nvdec")
def test_a_reader_can_stop_early(clip: Path) -> None:
    video = decode.read_video(clip)
    next(video)
    video.close()
    with pytest.raises(StopIteration):
        next(video)


@pytest.mark.gpu
@pytest.mark.usefixtures("nvdec")
def test_a_reader_that_is_forgotten_stops(clip: Path) -> None:
    video = decode.read_video(clip)
    next(video)
    (thread,) = [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    del video
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def turned_copy(clip: Path, path: Path) -> Path:
    """The same packets with a display matrix that turns them by a quarter, in the file's header."""
    data = bytearray(clip.read_bytes())
    identity = b"".join(v.to_bytes(4, "big") for v in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    quarter = b"".join(
        (v % (1 << 32)).to_bytes(4, "big") for v in (0, 1 << 16, 0, -(1 << 16), 0, 0, 96 << 16, 0, 1 << 30)
    )
    at = data.find(identity, data.find(b"tkhd"))  # the track's, not the movie's
    assert at > 0
    data[at : at + len(identity)] = quarter
    path.write_bytes(data)
    return path


def test_the_turned_copy_is_turned(clip: Path, tmp_path: Path) -> None:
    source = PacketSource(str(turned_copy(clip, tmp_path / "turned.mp4")))
    assert source.orientation.degrees == 90
    source.close()

"""Small videos made on the spot, with what real files have: odd times, rotation, sound, damage."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

TICK = Fraction(1, 90_000)


def picture(index, height=48, width=64):
    """A picture that says its own number, up to 29, by a grey level, brighter at the top, with a red left edge."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = 40 + 4 * (index % 30)
    image[: height // 2] += 60
    image[:, : width // 4] = (200, 30, 30)
    return image


def write(
    path, times, *, codec="libx264", pixel_format="yuv420p", size_hw=(48, 64), tick=TICK, rotate=None, sound=None
):
    """Write a video with PyAV alone, so that the reader is tested against something that is not our writer.

    sound is (codec, sampling rate): a tone as long as the video.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size_hw
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = stream.time_base = tick
        if codec == "libx264":
            stream.options = {"bf": "0", "preset": "ultrafast", "crf": "10", "g": "10"}
        if rotate is not None:
            stream.set_display_rotation(rotate)
        tone = container.add_stream(sound[0], rate=sound[1], layout="mono") if sound else None
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(index, *size_hw)).reformat(format=pixel_format)
            frame.pts, frame.time_base = round(Fraction(time) / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            samples = np.sin(np.arange(int((times[-1] + 0.04) * sound[1])) * 0.2).astype(np.float32)[None]
            for start in range(0, samples.shape[1], 1024):
                frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1024], "fltp", "mono")
                frame.sample_rate, frame.pts = sound[1], start
                container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    return path


@pytest.fixture
def make_video(tmp_path):
    def make(name="video.mp4", times=tuple(k / 25 for k in range(20)), **options):
        return write(tmp_path / name, times, **options)

    return make

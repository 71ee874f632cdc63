"""Live sources: the newest picture, none twice, none late; and clear words when there is no camera."""

from __future__ import annotations

import sys
import threading

import av
import numpy as np
import pytest

from posemask.errors import InputError, VideoError
from posemask.media import Camera, open_camera


def test_gives_the_newest_and_counts_the_rest(make_video):
    path = make_video(times=[k / 25 for k in range(50)])
    with Camera(av.open(str(path)), "test") as camera:
        assert camera.size_hw == (48, 64)
        camera._reader.join(10)  # a file comes all at once: by now only its last picture is waiting
        frame = next(camera)
        assert (frame.index, frame.time) == (49, pytest.approx(49 / 25))
        assert frame.image.shape == (48, 64, 3)
        assert camera.dropped == 49
        with pytest.raises(VideoError, match="test has stopped"):
            next(camera)


def test_waits_for_pictures_that_come_slowly():
    go = threading.Semaphore(1)

    class Slow:
        """A container whose packets come one by one, when the test says."""

        def __init__(self):
            self.inner = av.open("testsrc=rate=10:size=64x48", format="lavfi")
            self.streams, self.format = self.inner.streams, self.inner.format
            self.duration, self.start_time = None, None

        def demux(self, *streams):
            for packet in self.inner.demux(*streams):
                go.acquire()
                yield packet

        def close(self):
            go.release()
            self.inner.close()

    container = Slow()
    with Camera(container, "test") as camera:
        indices, times = [], []
        for frame in camera:
            indices.append(frame.index)
            times.append(frame.time)
            if len(indices) == 4:
                break
            go.release()
        assert indices == [0, 1, 2, 3]
        assert np.diff(times) == pytest.approx(0.1)
        assert camera.dropped == 0
        go.release()


def test_after_closing_it_ends():
    camera = Camera(av.open("testsrc=rate=10:size=64x48", format="lavfi"), "test")
    next(camera)
    camera.close()
    assert list(camera) == []
    assert not camera._reader.is_alive()


def test_an_error_of_the_reader_reaches_whoever_waits(monkeypatch):
    camera = Camera(av.open("testsrc=rate=10:size=64x48", format="lavfi"), "test")
    camera.close()
    broken = RuntimeError("unplugged")
    camera._closing, camera._ended, camera._error = False, True, broken
    with pytest.raises(VideoError, match="has stopped") as caught:
        next(camera)
    assert caught.value.__cause__ is broken


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of Linux' cameras")
def test_no_camera():
    with pytest.raises(VideoError, match=r"cannot open /dev/video77: No such file or directory"):
        open_camera(77, size_hw=(480, 640), fps=30)


def test_no_stream():
    with pytest.raises(VideoError, match=r"cannot open http://127\.0\.0\.1:9/live"):
        open_camera("http://127.0.0.1:9/live")


@pytest.mark.parametrize("device", [-1, True])
def test_no_number(device):
    with pytest.raises(InputError, match="number"):
        open_camera(device)

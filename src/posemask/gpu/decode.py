"""Videos decoded by the GPU: frames that never leave the device, with the CPU reader's colours, times and orientation.

    file -> packets (PyAV) -> NVDEC (PyNvVideoCodec) -> NV12 -> RGB, upright       in a thread, ahead of the reader

Needs the extra ``posemask[nvdec]``. The decoder works on a CUDA stream of its own and writes into a ring of tensors. A
frame may be used until the next one is asked for: what was queued on it by then, on the stream that is current when the
next is asked for, is waited for by the decoder's stream, never by the host.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import queue
import threading
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import av
import torch

from ..errors import PosemaskError, RuntimeUnavailableError, VideoError
from ..media.orientation import Orientation
from ..results import Frame
from .compiler import CudaKernels, require_cuda
from .feed import Table
from .packets import ON_THE_CPU, PacketSource
from .pictures import Format, ToRgb, check_form, plane_shape

__all__ = ["DeviceVideo", "Surfaces", "read_video"]

AHEAD = 8  # frames that are decoded before they are asked for
MOST_DAMAGED = 100  # packets that the decoder may refuse before the first picture
NO_TIME = -(1 << 62)  # what goes through the decoder where a packet has no time


def read_video(source: str | os.PathLike[str], *, device: str = "cuda", form: Format = "rgb") -> DeviceVideo:
    """Open a video whose frames are decoded on a CUDA device.

        with posemask.gpu.decode.read_video("dance.mp4") as video:
            for frame in video:
                poses = detector.estimate_poses(frame)      # of create_detector(device="cuda")

    Args:
        source: a path.
        device: such as "cuda:1".
        form: "rgb": frames are (H, W, 3) uint8 tensors; "nv12": (H * 3 / 2, W), with the video's own `colors`.

    Raises:
        VideoError: there is no such file, nothing in it can be shown, or it is not for the GPU's decoder (some of that
            is known only while it is read); then `posemask.read_video` can decode it on the CPU.
        InputError: the device or the form is wrong.
        RuntimeUnavailableError: PyNvVideoCodec, CUDA or the card's decoder is missing.
    """
    check_form(form)
    place = require_cuda(device)
    codec = _codec()
    name = os.fspath(source)
    if not os.path.isfile(name):
        raise VideoError(f"{name} is not a file; a video for the GPU's decoder is given as a path")
    return DeviceVideo(PacketSource(name), place, codec, form)


class DeviceVideo:
    """An open video, made by `read_video`: an iterator over `Frame`s whose images are tensors on the device.

    Attributes:
        size_hw: of the frames, upright.
        rotation: degrees by which the stored pictures are turned upright.
        fps, duration, frame_count: as of `posemask.media.Video`.
        colors: what the numbers of its NV12 frames mean.
    """

    def __init__(self, packets: PacketSource, device: torch.device, codec: Any, form: Format) -> None:
        self.name, self.device, self.form = packets.name, device, form
        self.size_hw = packets.orientation.upright_hw(packets.stored_hw)
        self.rotation, self.colors = packets.orientation.degrees, packets.colors
        self.fps, self.duration, self.frame_count = packets.fps, packets.duration, packets.frame_count
        self._decoding = _Decoding(packets, device, codec, form, self.size_hw)
        self._using: int | None = None
        self._index, self._ended = 0, False
        # Whoever forgets to close it has no thread and no decoder left behind, either.
        self._stop = weakref.finalize(self, self._decoding.stop)

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded so far; they were skipped."""
        return self._decoding.damaged

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        decoding = self._decoding
        if self._using is not None:
            decoding.used[self._using].record(torch.cuda.current_stream(self.device))
            decoding.free.put(self._using)
            self._using = None
        item = None if self._ended else decoding.ready.get()
        if item is None or isinstance(item, BaseException):
            self._ended = True
            raise item or StopIteration
        self._using, time, decoded = item
        torch.cuda.current_stream(self.device).wait_event(decoded)
        self._index += 1
        return Frame(image=decoding.ring[self._using], time=time, index=self._index - 1)

    def close(self) -> None:
        """Stop decoding and close the file; iteration ends."""
        self._ended = True
        self._stop()

    def __enter__(self) -> DeviceVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Decoding:
    """The decoder of an open video at work, in a thread that knows nothing of the `DeviceVideo` it works for.

    Attributes:
        ring: the frames' tensors.
        used: of each, when the reader's work on it was queued.
        free: places of the ring that may be written.
        ready: places with their time and when they are written, in order; then an error or None.
    """

    def __init__(
        self, packets: PacketSource, device: torch.device, codec: Any, form: Format, size_hw: tuple[int, int]
    ) -> None:
        self._packets, self._device, self._closing = packets, device, threading.Event()
        try:
            _check_capability(codec, device, packets)
            with torch.cuda.device(device):
                self._stream = torch.cuda.Stream()
                decoder = codec.CreateDecoder(
                    gpuid=device.index,
                    codec=getattr(codec.cudaVideoCodec, packets.codec),
                    cudacontext=_current_context(),
                    cudastream=self._stream.cuda_stream,
                    usedevicememory=True,
                )
                self._surfaces = Surfaces(packets, codec, decoder, self._closing)
                self._fill = _Filler(packets, device, form)
                shape = plane_shape(size_hw, form)
                self.ring = [torch.empty(shape, dtype=torch.uint8, device=device) for _ in range(AHEAD + 1)]
                self.used = [torch.cuda.Event() for _ in self.ring]
        except BaseException as error:
            packets.close()
            if isinstance(error, PosemaskError) or not isinstance(error, Exception):
                raise
            raise RuntimeUnavailableError(
                f"{device} has no decoder for {packets.name}: {error}; {ON_THE_CPU}"
            ) from error
        self.free: queue.Queue[int] = queue.Queue()
        for place in range(len(self.ring)):
            self.free.put(place)
        self.ready: queue.Queue[tuple[int, float, torch.cuda.Event] | BaseException | None] = queue.Queue()
        self._thread = threading.Thread(target=self._decode_all, name=f"decode {packets.name}", daemon=True)
        self._thread.start()

    @property
    def damaged(self) -> int:
        return self._packets.damaged + self._surfaces.refused

    def stop(self) -> None:
        self._closing.set()
        self.free.put(0)  # wakes the thread if it waits for a place
        self._thread.join()
        self._stream.synchronize()  # it may still be writing into the ring, whose memory is others' soon
        self._packets.close()

    def _decode_all(self) -> None:
        end: BaseException | None = None
        try:
            with torch.cuda.device(self._device), torch.cuda.stream(self._stream), torch.inference_mode():
                for time, surface in self._surfaces:
                    place = self.free.get()
                    if self._closing.is_set():
                        return
                    self._stream.wait_event(self.used[place])
                    self._fill(self.ring[place], surface)
                    decoded = torch.cuda.Event()
                    decoded.record(self._stream)
                    self.ready.put((place, time, decoded))
        except PosemaskError as error:
            end = error
        except Exception as error:  # whatever the decoder raises
            end = VideoError(f"{self._packets.name} cannot be decoded on {self._device}: {error}; {ON_THE_CPU}")
        finally:
            self.ready.put(end)


class Surfaces:
    """Times, and pictures (H * 3 / 2, W) in the decoder's own memory, good until the next is asked for: an iterator.

    It ends with the file, or soon after `closing` is set.

    Attributes:
        refused: packets that the decoder did not take so far; they were skipped.
    """

    def __init__(self, packets: PacketSource, codec: Any, decoder: Any, closing: threading.Event) -> None:
        self._packets, self._codec, self._decoder, self._closing = packets, codec, decoder, closing
        self._shape = plane_shape(packets.stored_hw, "nv12")
        self._any = False
        self.refused = 0

    def __iter__(self) -> Iterator[tuple[float, torch.Tensor]]:
        """Raises `VideoError` if nothing decodes, or if the pictures change their size."""
        for packet in self._packets:
            if self._closing.is_set():
                return
            yield from self._decoded(packet)
        yield from self._decoded(None)
        if not self._any:
            raise VideoError(f"{self._packets.name}: the GPU's decoder makes no picture of it; {ON_THE_CPU}")

    def _decoded(self, packet: av.Packet[Any] | None) -> Iterator[tuple[float, torch.Tensor]]:
        data = self._codec.PacketData()
        if packet is None:
            data.decode_flag = int(self._codec.VideoPacketFlag.ENDOFSTREAM)
        else:
            data.bsl, data.bsl_data = packet.buffer_size, packet.buffer_ptr
            data.pts = NO_TIME if packet.pts is None else packet.pts
        try:
            frames = self._decoder.Decode(data)
        except Exception:
            self.refused += 1
            if self.refused > MOST_DAMAGED and not self._any:
                raise
            return
        for frame in frames:
            self._any = True
            pts = frame.getPTS()
            time = self._packets.time_of(None if pts == NO_TIME else pts)
            if time is None:
                continue
            surface = torch.from_dlpack(frame)
            if tuple(surface.shape) != self._shape:
                raise VideoError(
                    f"{self._packets.name} changes the size of its pictures at {time:g} s; the GPU's decoder is used "
                    f"for one size; {ON_THE_CPU}"
                )
            yield time, surface


class _Filler:
    """Writes the decoder's pictures into frames: RGB or NV12, upright."""

    def __init__(self, packets: PacketSource, device: torch.device, form: Format) -> None:
        self._orientation, self._form, self._stored_hw = packets.orientation, form, packets.stored_hw
        self._upright = packets.orientation == Orientation()
        if form == "rgb":
            self._to_rgb = ToRgb(CudaKernels(device), packets.stored_hw)
            self._given = Table([packets.stored_hw], "nv12", device, [packets.colors])
            self._made = Table([packets.stored_hw], "rgb", device)
            self._stored = torch.empty((*packets.stored_hw, 3), dtype=torch.uint8, device=device)

    def __call__(self, frame: torch.Tensor, surface: torch.Tensor) -> None:
        if self._form == "rgb":
            self._given.set([surface])
            self._made.set([frame if self._upright else self._stored])
            self._to_rgb.run(self._given.tensor, self._made.tensor)
            if not self._upright:
                frame.copy_(_turned(self._stored, self._orientation))
            return
        if self._upright:
            frame.copy_(surface)
            return
        height = self._stored_hw[0]
        rows = frame.shape[0] * 2 // 3
        frame[:rows].copy_(_turned(surface[:height], self._orientation))
        chroma, made = (pixels.unflatten(1, (-1, 2)) for pixels in (surface[height:], frame[rows:]))
        made.copy_(_turned(chroma, self._orientation))


def _turned(stored: torch.Tensor, orientation: Orientation) -> torch.Tensor:
    """(H, W, ...) pixels laid upright."""
    picture = stored.transpose(0, 1) if orientation.transpose else stored
    axes = [axis for axis, flip in enumerate((orientation.flip_y, orientation.flip_x)) if flip]
    return picture.flip(axes) if axes else picture


def _codec() -> Any:
    try:
        return importlib.import_module("PyNvVideoCodec")
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"decoding on the GPU needs PyNvVideoCodec, which cannot be imported ({error}): "
            f'pip install "posemask[nvdec]"; without it {ON_THE_CPU}'
        ) from error
    except Exception as error:  # it asks the driver when it is imported, and raises what it likes
        reason = str(error).strip().splitlines()[0]
        raise RuntimeUnavailableError(
            f"PyNvVideoCodec cannot use this driver: {reason}; without it {ON_THE_CPU}"
        ) from error


def _check_capability(codec: Any, device: torch.device, packets: PacketSource) -> None:
    height, width = packets.stored_hw
    kind = getattr(codec.cudaVideoCodec, packets.codec)
    try:
        able = codec.GetDecoderCaps(gpuid=device.index, codec=kind)
    except Exception as error:
        raise RuntimeUnavailableError(f"{device} has no video decoder: {error}; {ON_THE_CPU}") from error
    if not able.get("width_max"):
        raise VideoError(f"{packets.name} is {packets.codec} video, for which {device} has no decoder; {ON_THE_CPU}")
    least, most = ((able[f"width_{end}"], able[f"height_{end}"]) for end in ("min", "max"))
    if not (least[0] <= width <= most[0] and least[1] <= height <= most[1]):
        raise VideoError(
            f"{packets.name} has pictures of {width} x {height} pixels; {device} decodes {packets.codec} video from "
            f"{least[0]} x {least[1]} to {most[0]} x {most[1]}; {ON_THE_CPU}"
        )


def _current_context() -> int:
    """The device's primary context, which torch uses; the decoder must use the same."""
    torch.cuda.current_stream().synchronize()  # makes it current in this thread
    driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    context = ctypes.c_void_p()
    if driver.cuCtxGetCurrent(ctypes.byref(context)) or not context.value:
        raise RuntimeUnavailableError("CUDA gives no context for the decoder")
    return context.value

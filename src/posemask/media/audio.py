"""The sound of one video, carried over into another while that one is being written."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer

from .container import open_container, packets_of, start_of, time_base_of
from .video import Video

__all__ = ["Soundtrack"]

_RATE = 48_000  # Hz, of sound that is encoded anew: the one rate that every format takes


class Soundtrack:
    """Copies the sound of `video`, packet by packet, into `output`, from the video's `start` to its `end`.

    Sound that the output's format has no room for is encoded anew with `encoder`. The file is opened a second time,
    so that reading sound and reading pictures do not wait for each other, and is read in step with what is written:
    memory stays constant. Sound that cannot be decoded is left out.
    """

    def __init__(self, video: Video, output: OutputContainer, *, encoder: str, run_in: bool) -> None:
        """Add streams for the sound to `output`, which must not have been written to.

        run_in says whether the format can hold sound below time 0, the run-in of some codecs, that is not played.
        Where it cannot (Matroska), FFmpeg would move everything instead, pictures too: it is left out.
        """
        assert video.path is not None, "only files can be opened a second time"
        self._output = output
        self._input = open_container(str(video.path), video.name)
        try:
            streams = self._input.streams.audio
            pictures = self._input.streams.best("video")
            assert isinstance(pictures, av.VideoStream)
            self._zero = start_of(self._input, pictures) + Fraction(video.start)  # the input's clock at output time 0
            self._length = None if video.end is None else Fraction(video.end) - Fraction(video.start)
            self._keep_run_in = run_in and video.start == 0
            self._outputs = {stream.index: _output_stream(stream, output, encoder) for stream in streams}
            if video.start > 0:
                self._input.seek(round(self._zero * av.time_base))
            self._steps = self._write()
        except BaseException:
            self._input.close()
            raise
        self._next: Fraction | None = Fraction(0)  # nothing has been read yet: the output may lack its header

    def write_until(self, time: Fraction | None) -> None:
        """Write what is heard before `time`, in seconds of the output; None writes all that is left."""
        while self._next is not None and (time is None or self._next < time):
            self._next = next(self._steps, None)

    def close(self) -> None:
        """Close the input."""
        self._input.close()

    def _write(self) -> Iterator[Fraction]:
        """Write packet after packet; before each, give the output's time at which it is heard."""
        for packet in packets_of(self._input, *self._input.streams.audio):
            if packet.pts is None:
                continue
            base = time_base_of(packet.stream)
            time = packet.pts * base - self._zero
            if time < 0 and not self._keep_run_in:
                continue
            if self._length is not None and time >= self._length:
                break
            yield time
            copy_to, encode_with = self._outputs[packet.stream.index]
            shift = round(self._zero / base)
            if encode_with is None:
                packet.pts -= shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                packet.stream = copy_to
                self._output.mux(packet)
            else:
                self._encode(packet, encode_with, shift)
        for _, encode_with in self._outputs.values():
            if encode_with is not None:
                self._output.mux(encode_with.encode(None))

    def _encode(self, packet: av.Packet[AudioStream], stream: AudioStream, shift: int) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= shift
            self._output.mux(stream.encode(frame))


def _output_stream(
    stream: AudioStream, output: OutputContainer, encoder: str
) -> tuple[AudioStream, AudioStream | None]:
    """The output's stream for a stream of the input, and again if its packets must be encoded anew."""
    try:
        return output.add_stream_from_template(stream), None
    except ValueError:  # the format has no room for this codec
        layout = "mono" if stream.channels == 1 else "stereo"
        encoded = output.add_stream(encoder, rate=_RATE, layout=layout)
        assert isinstance(encoded, AudioStream)
        return encoded, encoded

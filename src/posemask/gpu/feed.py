"""What goes to the device each frame, and what comes back, without waiting for it.

A host array is written into pinned memory and copied asynchronously; there is a ring of such places, so that the host
may run ahead of the device by as many frames. Flags come back the same way: the host reads the newest copy that has
arrived and never asks for one that has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from ..errors import ImageError
from ..pixels.torch import YuvColors
from .pictures import Format, picture_row

__all__ = ["Arrivals", "Captured", "Departures", "Download", "Feed", "Table"]

DEPTH = 16
"""Frames by which the host may run ahead of the device; then it waits for the oldest."""

Tensor: TypeAlias = torch.Tensor


class Feed:
    """A small tensor on the device that the host sets again and again."""

    def __init__(self, initial: Any, device: torch.device) -> None:
        host = torch.as_tensor(initial)
        self.device = device
        self.tensor = host.to(device)
        pinned = device.type == "cuda"
        self._places = [torch.empty_like(host, pin_memory=pinned) for _ in range(DEPTH if pinned else 1)]
        self._events = [torch.cuda.Event() if pinned else None for _ in self._places]
        self._next = 0

    def set(self, values: Any) -> None:
        """Queue a copy of `values` to the first rows of the tensor, on the current stream."""
        place, event = self._places[self._next], self._events[self._next]
        self._next = (self._next + 1) % len(self._places)
        if event is not None:
            event.synchronize()
        count = len(values)
        place[:count] = torch.as_tensor(values)
        self.tensor[:count].copy_(place[:count], non_blocking=True)
        if event is not None:
            event.record(torch.cuda.current_stream(self.device))


class Arrivals:
    """A small tensor of the device as the host knew it last."""

    def __init__(self, source: Tensor) -> None:
        self._source = source
        pinned = source.device.type == "cuda"
        self._free = [torch.empty(source.shape, dtype=source.dtype, pin_memory=pinned) for _ in range(DEPTH)]
        self._under_way: deque[tuple[Any, Tensor]] = deque()

    def request(self) -> None:
        """Queue a copy to the host."""
        if len(self._under_way) == DEPTH - 1:
            self._under_way[0][0].synchronize()
            self._free.append(self._under_way.popleft()[1])
        place = self._free.pop()
        place.copy_(self._source, non_blocking=True)
        self._under_way.append((_event_after(self._source.device), place))

    def newest(self) -> np.ndarray[Any, Any] | None:
        """The newest copy that has arrived since the last question; None if there is none."""
        latest = None
        while self._under_way and (self._under_way[0][0] is None or self._under_way[0][0].query()):
            if latest is not None:
                self._free.append(latest)
            latest = self._under_way.popleft()[1]
        if latest is None:
            return None
        values: np.ndarray[Any, Any] = latest.numpy().copy()
        self._free.append(latest)
        return values


class Download:
    """Tensors of the device that the host wants now: copied together, and waited for once."""

    def __init__(self, *sources: Tensor) -> None:
        self._sources = sources
        self._pinned = sources[0].device.type == "cuda"
        self._places = [torch.empty(s.shape, dtype=s.dtype, pin_memory=self._pinned) for s in sources]

    def first(self, count: int) -> list[np.ndarray[Any, Any]]:
        """The first rows of each, as arrays of the caller's own."""
        for place, source in zip(self._places, self._sources, strict=True):
            place[:count].copy_(source[:count], non_blocking=True)
        if self._pinned:
            torch.cuda.current_stream(self._sources[0].device).synchronize()
        return [place[:count].numpy().copy() for place in self._places]


class Departures:
    """Tensors on their way to the host, frame by frame and in order, while the device works on."""

    def __init__(self, *sources: Tensor, depth: int = 4) -> None:
        """`depth`: so many frames may be under way, or taken and still in use."""
        self._sources = sources
        pinned = sources[0].device.type == "cuda"
        self._free = [[torch.empty(s.shape, dtype=s.dtype, pin_memory=pinned) for s in sources] for _ in range(depth)]
        self._under_way: deque[tuple[Any, list[Tensor]]] = deque()

    @property
    def full(self) -> bool:
        """Whether one must be taken before the next is sent."""
        return not self._free

    def send(self) -> None:
        """Queue a copy of what the tensors hold when the current stream gets there."""
        places = self._free.pop(0)
        for place, source in zip(places, self._sources, strict=True):
            place.copy_(source, non_blocking=True)
        self._under_way.append((_event_after(self._sources[0].device), places))

    def take(self) -> list[np.ndarray[Any, Any]] | None:
        """The oldest frame, waited for; None if none is under way. It lasts until `depth` - 1 more were sent."""
        if not self._under_way:
            return None
        event, places = self._under_way.popleft()
        if event is not None:
            event.synchronize()
        self._free.append(places)
        return [place.numpy() for place in places]


class Table:
    """One picture a stream, in the table that the kernels read."""

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        form: Format,
        device: torch.device,
        colors: Sequence[YuvColors | None] | None = None,
    ) -> None:
        self._sizes, self._form = tuple(sizes), form
        self._colors = tuple(colors or [None] * len(sizes))
        self._rows: list[tuple[int, ...]] = [(0, height, width, 0, 0, 0) for height, width in sizes]
        self._feed = Feed(torch.tensor(self._rows, dtype=torch.int64), device)
        self._held: Sequence[Tensor] = ()

    @property
    def tensor(self) -> Tensor:
        """(N, 6) int64 on the device."""
        return self._feed.tensor

    def set(self, pictures: Sequence[Tensor]) -> None:
        """Point the rows at these tensors; nothing is copied but addresses, and only if they changed.

        Raises `ImageError` if a picture is missing or does not fit its stream.
        """
        if len(pictures) != len(self._sizes):
            raise ImageError(f"expected {len(self._sizes)} frames, one a stream, got {len(pictures)}")
        if all(a is b for a, b in zip(pictures, self._held, strict=False)) and len(self._held) == len(pictures):
            return
        each = zip(pictures, self._sizes, self._colors, strict=True)
        rows = [picture_row(picture, size, self._form, colors) for picture, size, colors in each]
        for picture in pictures:
            if picture.device != self._feed.device:
                raise ImageError(f"frames must lie on {self._feed.device}, got one on {picture.device}")
        self._held = tuple(pictures)  # a tensor must live as long as its address is in the table
        if rows != self._rows:
            self._rows = rows
            self._feed.set(torch.tensor(rows, dtype=torch.int64))


class Captured:
    """Work that is queued again and again: on a GPU one graph, on a CPU the function itself.

    It runs once first, so that nothing is allocated or chosen while the graph is recorded. The function is kept as long
    as the graph, which knows the addresses of the function's tensors. What other threads do on the device meanwhile
    (decoding, say) does not disturb the recording.
    """

    def __init__(self, work: Callable[[], Any], device: torch.device, memory: Any = None) -> None:
        self.result: Any = None
        self._work = work
        self._replay: Callable[[], Any] = work
        if device.type != "cuda":
            return
        with torch.cuda.device(device), torch.inference_mode():
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                work()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=memory, capture_error_mode="thread_local"):
                self.result = work()
        self._replay = graph.replay

    def run(self) -> None:
        """Queue the work on the current stream."""
        self._replay()


def _event_after(device: torch.device) -> torch.cuda.Event | None:
    """What happens when all that is queued on the device's current stream is done; None on a CPU, where it is."""
    if device.type != "cuda":
        return None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event

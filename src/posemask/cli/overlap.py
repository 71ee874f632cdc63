"""Three stages at once: reading, working and writing overlap, with little waiting between them and little memory.

Reading and writing have a thread each; the work stays in the calling thread, where Ctrl-C arrives. What one stage
hands to the next waits in a channel of a few places. An error in one stage ends all three, and is raised; whoever
waits at a channel then is woken. When `overlap` returns or raises, its threads have ended.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

__all__ = ["overlap", "overlap_several"]

A = TypeVar("A")
B = TypeVar("B")

_PLACES = 3
_GLANCE = 0.5  # seconds; on Windows only a wait that ends by itself lets Ctrl-C through


def overlap(source: Iterable[A], work: Callable[[A], B], sink: Callable[[B], None]) -> None:
    """Call ``sink(work(item))`` for every item of `source`, in order.

    Whatever `source`, `work` or `sink` raises first is raised here.
    """
    incoming: _Channel[A] = _Channel()
    outgoing: _Channel[B] = _Channel()
    errors: list[BaseException] = []

    def stage(run: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                run()
            except _Cancelled:
                pass
            except BaseException as error:  # raised again in the calling thread
                errors.append(error)
                incoming.cancel()
                outgoing.cancel()

        return guarded

    def read() -> None:
        for item in source:
            incoming.put(item)
        incoming.end()

    def calculate() -> None:
        for item in incoming:
            outgoing.put(work(item))
        outgoing.end()
        join()

    def write() -> None:
        for item in outgoing:
            sink(item)

    threads = [threading.Thread(target=stage(run), name=f"posemask {run.__name__}") for run in (read, write)]

    def join() -> None:
        for thread in threads:
            thread.join()

    for thread in threads:
        thread.start()
    stage(calculate)()  # Ctrl-C ends it wherever it is, also while it waits for the threads
    join()
    if errors:
        raise errors[0]


def overlap_several(source: Iterable[A], works: Sequence[Callable[[A], B]], sink: Callable[[B], None]) -> None:
    """As `overlap`, where each item goes to whichever of `works` is free; each of them has one item at a time.

    Results still come to `sink` in order.
    """
    if len(works) == 1:
        overlap(source, works[0], sink)
        return
    free: SimpleQueue[Callable[[A], B]] = SimpleQueue()
    for work in works:
        free.put(work)

    def run(item: A) -> B:
        work = free.get()
        try:
            return work(item)
        finally:
            free.put(work)

    with ThreadPoolExecutor(len(works), "posemask work") as crew:
        overlap(source, lambda item: crew.submit(run, item), lambda done: sink(done.result()))


class _Cancelled(Exception):
    """Another stage has failed."""


class _Channel(Generic[A]):
    """A queue of a few places between two threads, which can be ended by its writer and cancelled by anyone."""

    def __init__(self) -> None:
        self._items: deque[A] = deque()
        self._change = threading.Condition()
        self._ended = False
        self._cancelled = False

    def put(self, item: A) -> None:
        """Add an item, when there is room for it. Raises `_Cancelled`."""
        with self._change:
            self._wait_for(lambda: len(self._items) < _PLACES)
            self._items.append(item)
            self._change.notify_all()

    def __iter__(self) -> Iterator[A]:
        """The items, as they come, until the end. Raises `_Cancelled`."""
        while True:
            with self._change:
                self._wait_for(lambda: bool(self._items) or self._ended)
                if not self._items:
                    return
                item = self._items.popleft()
                self._change.notify_all()
            yield item
            del item  # not held while the next one is waited for: a frame is large

    def end(self) -> None:
        """No more items will come."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    def cancel(self) -> None:
        """Wake everybody who waits."""
        with self._change:
            self._cancelled = True
            self._change.notify_all()

    def _wait_for(self, ready: Callable[[], bool]) -> None:
        while not self._cancelled and not ready():
            self._change.wait(_GLANCE)
        if self._cancelled:
            raise _Cancelled

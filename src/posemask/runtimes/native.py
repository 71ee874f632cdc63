"""Our own CPU engine (csrc/engine): no dependency, the fastest on the published networks, runs any x86 or ARM CPU.

The engine fuses the inverted residual blocks of these networks; docs/performance-engine.md tells how and what it gains.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InferenceError, InputError, RuntimeUnavailableError
from ..networks.graph import Graph
from . import native_plan
from .network import check_threads

__all__ = ["NativeNetwork", "load"]

Floats = npt.NDArray[np.float32]
Window = tuple[int, int, int, int]
MOST = 2**30  # more rows and columns than any map has


def load(graph: Graph, *, threads: int = 1) -> NativeNetwork:
    """Prepare a graph for the CPU.

    Args:
        graph: any input size; the weights are copied, so the graph may be dropped.
        threads: how many threads share one picture. They sleep while no picture is there.

    Raises `RuntimeUnavailableError` where the extension module is not built, `ModelFileError` for an operator that the
    engine lacks, `InputError` for a thread count below 1.
    """
    check_threads(threads)
    try:
        from posemask import _engine
    except ImportError as error:
        raise RuntimeUnavailableError(
            "posemask was installed without its compiled engine; install a wheel, or a compiler and build it"
        ) from error
    return NativeNetwork(graph, native_plan.build(_engine, graph, threads))


class NativeNetwork:
    """A network on the CPU: call it with NHWC float32 arrays, one for each input; get a tuple of outputs.

    Without `out` the outputs belong to the network and are overwritten by the next call. Calls must not overlap:
    that is an error. Load the graph twice to run two pictures at the same time (the calls release the interpreter's
    lock).
    """

    def __init__(self, graph: Graph, plan: Any) -> None:
        self._plan = plan
        self._inputs = [shape[1:] for shape in graph.input_shapes]
        self._outputs = [shape[1:] for shape in graph.output_shapes]
        self._kept: tuple[Floats, ...] = ()
        self._at_work = threading.Lock()

    def __call__(
        self, *pictures: Floats, out: Sequence[Floats] | None = None, window: Window | None = None
    ) -> tuple[Floats, ...]:
        """Run the network.

        Args:
            pictures: one float32 array (N, H, W, C) for each input; N >= 1 pictures run one after the other.
            out: float32 C-contiguous arrays of the outputs' shapes to write into.
            window: (top, bottom, left, right). Of a landmark network's mask only the rows [top, bottom) and columns
                [left, right) are wanted, for instance those whose pixels fall into the frame. What lies outside is left
                as it was in the output, or is made all the same. Other outputs are whole.

        Raises `InputError` for arrays of other shapes or types, `InferenceError` while another call is running.
        """
        shapes = [getattr(picture, "shape", None) for picture in pictures]
        batch = shapes[0][0] if shapes and shapes[0] else 0
        if batch < 1 or shapes != [(batch, *shape) for shape in self._inputs]:
            wanted = ", ".join(f"(N, {', '.join(map(str, shape))})" for shape in self._inputs)
            raise InputError(f"the network expects float32 arrays of shape {wanted}, got shapes {shapes}")
        if any(picture.dtype != np.float32 for picture in pictures):
            raise InputError(f"the network expects float32 arrays, got {[str(picture.dtype) for picture in pictures]}")
        arrays = [np.ascontiguousarray(picture) for picture in pictures]
        outputs = self._own(batch) if out is None else self._checked(batch, out)
        top, bottom, left, right = window or (0, MOST, 0, MOST)
        if not self._at_work.acquire(blocking=False):
            raise InferenceError("this network is running in another thread; load the graph once for each thread")
        try:
            for i in range(batch):
                inputs, made = [array[i] for array in arrays], [array[i] for array in outputs]
                self._plan.run(inputs, made, (top, bottom), (left, right))
        finally:
            self._at_work.release()
        return outputs

    def _own(self, batch: int) -> tuple[Floats, ...]:
        if not self._kept or self._kept[0].shape[0] != batch:
            self._kept = tuple(np.empty((batch, *shape), np.float32) for shape in self._outputs)
        return self._kept

    def _checked(self, batch: int, out: Sequence[Floats]) -> tuple[Floats, ...]:
        expected = [(batch, *shape) for shape in self._outputs]
        if [array.shape for array in out] != expected or any(
            array.dtype != np.float32 or not array.flags.c_contiguous or not array.flags.writeable for array in out
        ):
            raise InputError(
                f"out must hold writable C-contiguous float32 arrays of shapes {expected}; got {[a.shape for a in out]}"
            )
        return tuple(out)

    def profile(self, *pictures: Floats, rounds: int = 20) -> list[tuple[str, float]]:
        """The steps of the network in running order, each with its best time in seconds over some rounds."""
        self._plan.profiling(True)
        try:
            for _ in range(rounds):
                self(*pictures)
        finally:
            self._plan.profiling(False)
        return list(self._plan.profile())

    @property
    def memory_bytes(self) -> int:
        """Bytes of packed weights and feature maps."""
        return int(self._plan.weight_bytes + self._plan.arena_bytes)

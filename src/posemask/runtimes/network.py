"""What every runtime gives: a network as a function, and the checks at its door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..networks.graph import Graph, Shape

__all__ = ["Array", "Network", "check_input", "check_threads", "input_shape"]

Array = npt.NDArray[np.float32]

Network = Callable[[Any], tuple[Any, ...]]
"""A network: one NHWC float32 feature map in, the graph's outputs out, in the graph's order.

The input is never written to; it may be read-only and need not be contiguous. The outputs may be the runtime's own
memory: the next call may overwrite them, so keep a copy of what must last. Unless its runtime says otherwise, a network
takes the batch of its graph, holds numpy arrays, and must not be called by two threads at once.
"""


def input_shape(graph: Graph) -> Shape:
    """The shape of the one input that networks of this library have."""
    if len(graph.inputs) != 1:
        raise InputError(f"a network must have one input, this has {len(graph.inputs)}: {', '.join(graph.inputs)}")
    return graph.input_shapes[0]


def check_input(x: Any, shape: Shape, *, any_batch: bool = False) -> None:
    """Raise `InputError` unless `x` is a float32 array of this shape, the batch aside if any will do."""
    first = int(any_batch)
    fits = isinstance(x, np.ndarray) and x.ndim == len(shape) and x.shape[first:] == shape[first:]
    if not fits or x.dtype != np.float32:
        got = f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"the network expects a float32 array of shape {shape}, got {got}")


def check_threads(threads: int) -> int:
    """`threads` if it is a number of threads, else `InputError`."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads must be an integer of at least 1, got {threads!r}")
    return threads

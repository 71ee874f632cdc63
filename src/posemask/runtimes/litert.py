"""LiteRT, the successor of TensorFlow Lite: the default runtime on a CPU, with XNNPACK's kernels.

It is the arithmetic that MediaPipe uses. The graph is written as a TFLite file in memory; half-precision weights stay
so in it and are widened while XNNPACK packs them, so that no second float32 copy of the weights is ever kept.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InferenceError, RuntimeUnavailableError
from ..networks.graph import Graph, Shape
from ..networks.mapped import drop_pages
from ..networks.write_tflite import write_tflite
from .network import Array, Network, check_input, check_threads, input_shape

__all__ = ["load"]


def load(graph: Graph, *, threads: int = 1) -> Network:
    """A network on LiteRT.

    The network takes the graph's batch. Its outputs are LiteRT's own buffers, which the next call overwrites.

    Raises `RuntimeUnavailableError` if LiteRT cannot be imported, `InferenceError` if it refuses the network.
    """
    shape, threads = input_shape(graph), check_threads(threads)
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise RuntimeUnavailableError(f"LiteRT cannot be imported ({error}): pip install ai-edge-litert") from error
    try:
        model = write_tflite(graph)
        for constant in graph.constants.values():
            drop_pages(constant)
        with _without_greeting():
            interpreter = Interpreter(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise InferenceError(f"LiteRT refuses {graph}: {error}") from error

    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    source = _buffer(interpreter, inputs[0]["index"], shape)
    results = tuple(
        _buffer(interpreter, details["index"], made) for details, made in zip(outputs, graph.output_shapes, strict=True)
    )

    def network(x: Array) -> tuple[Array, ...]:
        check_input(x, shape)
        source[...] = x
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise InferenceError(f"LiteRT failed: {error}") from error
        return results

    return network


def _buffer(interpreter: Any, index: int, shape: Shape) -> Array:
    """LiteRT's own memory of a tensor as an array, which keeps the interpreter alive.

    `interpreter.tensor` gives such arrays, too, but then refuses to run while one of them exists, because its
    memory could move when tensors are allocated anew. Here they never are.
    """
    view = interpreter.tensor(index)()
    if view.shape != shape or view.dtype != np.float32:
        raise InferenceError(f"LiteRT holds {view.dtype} of shape {view.shape} where {shape} float32 was expected")
    memory = (ctypes.c_float * math.prod(shape)).from_address(view.ctypes.data)
    setattr(memory, "interpreter", interpreter)  # noqa: B010 - an attribute that the type does not declare
    return np.ctypeslib.as_array(memory).reshape(shape)


_greeting_lock = threading.Lock()
_greeted = False


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep LiteRT's one "INFO: Created TensorFlow Lite XNNPACK delegate" off the terminal.

    Native code writes it once in a process, straight to file descriptor 2, and no setting stops it. So the first load
    runs with that descriptor in a temporary file; anything else that was written there is passed on.
    """
    global _greeted
    with _greeting_lock:
        if _greeted:
            yield
            return
        try:
            terminal = os.dup(2)
        except OSError:  # no standard error: nothing to keep clean
            yield
            return
        if sys.stderr:
            sys.stderr.flush()
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(terminal, 2)
                caught.seek(0)
                for line in caught:
                    if b"XNNPACK delegate" not in line:
                        os.write(terminal, line)
                os.close(terminal)
        _greeted = True

"""ONNX Runtime on a CPU: the graph as an ONNX model in memory."""

from __future__ import annotations

import numpy as np

from ..errors import InferenceError, RuntimeUnavailableError
from ..networks.graph import Graph
from ..networks.write_onnx import write_onnx
from .network import Array, Network, check_input, check_threads, input_shape

__all__ = ["load"]


def load(graph: Graph, *, threads: int = 1) -> Network:
    """A network on ONNX Runtime. It takes the graph's batch; every call makes new outputs.

    Raises `RuntimeUnavailableError` if ONNX Runtime cannot be imported, `InferenceError` if it refuses the network.
    """
    shape, threads = input_shape(graph), check_threads(threads)
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"ONNX Runtime cannot be imported ({error}): pip install posemask[onnxruntime]"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only; the rest is advice for those who write models
    try:
        session = onnxruntime.InferenceSession(write_onnx(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this
        raise InferenceError(f"ONNX Runtime refuses {graph}: {error}") from error
    source, names = graph.inputs[0], list(graph.outputs)

    def network(x: Array) -> tuple[Array, ...]:
        check_input(x, shape)
        try:
            return tuple(session.run(names, {source: np.ascontiguousarray(x)}))
        except Exception as error:
            raise InferenceError(f"ONNX Runtime failed: {error}") from error

    return network

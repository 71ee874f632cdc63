"""OpenVINO on a CPU: the graph as an ONNX model in memory, compiled for low latency."""

from __future__ import annotations

import numpy as np

from ..errors import InferenceError, RuntimeUnavailableError
from ..networks.graph import Graph
from ..networks.write_onnx import write_onnx
from .network import Array, Network, check_input, check_threads, input_shape
from .telemetry import no_telemetry

__all__ = ["load"]


def load(graph: Graph, *, threads: int = 1) -> Network:
    """A network on OpenVINO. It takes the graph's batch; its outputs are OpenVINO's, overwritten by the next call.

    Raises `RuntimeUnavailableError` if OpenVINO cannot be imported, `InferenceError` if it refuses the network.
    """
    shape, threads = input_shape(graph), check_threads(threads)
    try:
        with no_telemetry():
            import openvino
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"OpenVINO cannot be imported ({error}): pip install posemask[openvino]"
        ) from error
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # on CPUs with bfloat16 it would take that, which moves keypoints by pixels
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    try:
        core = openvino.Core()
        request = core.compile_model(core.read_model(write_onnx(graph)), "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise InferenceError(f"OpenVINO refuses {graph}: {error}") from error
    outputs = range(len(graph.outputs))

    def network(x: Array) -> tuple[Array, ...]:
        check_input(x, shape)
        try:
            made = request.infer([np.ascontiguousarray(x)], share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise InferenceError(f"OpenVINO failed: {error}") from error
        return tuple(made[i] for i in outputs)

    return network

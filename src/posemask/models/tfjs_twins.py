"""TensorFlow.js's forms of BlazePose and Selfie Segmentation, made to give what their TFLite twins give.

The networks are the same, the last steps differ: the landmark network has its outputs in another order and its mask and
heat maps as probabilities, the detector joins score and box, and one form of Selfie Segmentation has two channels.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ModelFileError
from ..networks.graph import Graph
from ..results import Array

__all__ = ["detector_like_tflite", "landmarks_like_tflite", "selfie_like_tflite"]

Network = Callable[[Array], tuple[Array, ...]]

# In TFLite's order: landmarks, score, mask logits, heat map logits, metres; shapes without the batch.
_LANDMARK_OUTPUTS = ((195,), (1,), (256, 256, 1), (64, 64, 39), (117,))
_PROBABILITIES = _LANDMARK_OUTPUTS[2:4]


def landmarks_like_tflite(graph: Graph) -> Graph:
    """The landmark network with TFLite's five outputs in TFLite's order; one that has them already stays as it is.

    Raises `ModelFileError` if an output is missing.
    """
    by_shape = {graph.shapes[name][1:]: name for name in graph.outputs}
    missing = [shape for shape in _LANDMARK_OUTPUTS if shape not in by_shape]
    if missing:
        raise ModelFileError(f"the network is no BlazePose landmark network: no output has the shape {missing[0]}")
    makers = {node.output: node for node in graph.nodes}
    wanted = []
    for shape in _LANDMARK_OUTPUTS:
        node = makers[by_shape[shape]]
        logits = node.op == "sigmoid" and shape in _PROBABILITIES
        wanted.append(node.inputs[0] if logits else node.output)
    return graph if tuple(wanted) == graph.outputs else graph.keep_outputs(wanted)


def detector_like_tflite(network: Network) -> Network:
    """A detector that gives (1, 2254, 13), the score's logit first, as one that gives boxes and logits apart."""

    def run(tensor: Array) -> tuple[Array, ...]:
        (joined,) = network(tensor)
        return joined[..., 1:], joined[..., :1]

    return run


def selfie_like_tflite(network: Network) -> Network:
    """A Selfie Segmentation that gives background and person as one that gives the person alone."""

    def run(tensor: Array) -> tuple[Array, ...]:
        (output,) = network(tensor)
        return (output[..., -1:],)

    return run

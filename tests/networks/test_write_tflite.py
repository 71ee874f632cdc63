"""Graphs written as TFLite files say what they said, and LiteRT computes the very same bits from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemask.networks.graph import Graph
from posemask.networks.read_tflite import read_tflite
from posemask.networks.write_tflite import write_tflite
from posemask.weights import DEFAULT_NAMES

from .examples import OPERATORS, everything

litert = pytest.importorskip("ai_edge_litert.interpreter")


def parts(graph: Graph) -> list[Any]:
    """What a graph says, without the names: constants by value, other values by number, free sizes resolved."""
    numbers = {name: i for i, name in enumerate([*graph.inputs, *(node.output for node in graph.nodes)])}
    said: list[Any] = [graph.input_shapes, [numbers[name] for name in graph.outputs]]
    for node in graph.nodes:
        operands = [
            graph.constants[name].tobytes() if name in graph.constants else numbers[name] for name in node.inputs
        ]
        attributes = dict(node.attributes)
        if node.op == "reshape":
            attributes["shape"] = graph.shapes[node.output][1:]
        if node.op in ("conv2d", "depthwise_conv2d") and len(operands) == 2:
            operands.append(bytes(4 * graph.shapes[node.output][3]))  # TFLite demands a bias
        said.append((node.op, operands, attributes))
    return said


@pytest.mark.parametrize("name", ["everything", *OPERATORS])
def test_what_is_written_is_read_again(name: str) -> None:
    graph = everything() if name == "everything" else OPERATORS[name]
    again = read_tflite(write_tflite(graph))
    assert parts(again) == parts(graph)
    assert again.inputs == graph.inputs
    assert again.outputs == graph.outputs


def test_half_precision_stays_half_precision() -> None:
    graph = everything()
    again = read_tflite(write_tflite(graph))
    kinds = [[v.dtype for _, v in sorted(g.constants.items())] for g in (graph, again)]
    assert kinds[0] == kinds[1][: len(kinds[0])]


def run(model: bytes, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    interpreter = litert.Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]


@pytest.mark.parametrize("name", DEFAULT_NAMES)
def test_published_networks_give_the_same_bits_as_their_own_files(name: str, published: Callable[[str], Path]) -> None:
    """Dense instead of sparse weights and TRANSPOSE_CONV instead of MediaPipe's operator change not one bit."""
    original = published(name).read_bytes()
    graph = read_tflite(original)
    x = np.random.default_rng(0).random(graph.input_shapes[0], np.float32)
    for one, other in zip(run(write_tflite(graph), x), run(original, x), strict=True):
        assert np.array_equal(one, other)

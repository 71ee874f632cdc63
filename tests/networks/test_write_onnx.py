"""ONNX files that others can read: checked by the onnx package, and run at any batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posemask.networks.read_tflite import read_tflite
from posemask.networks.write_onnx import write_onnx
from posemask.weights import DEFAULT_NAMES

from . import reference
from .examples import INPUT, OPERATORS, everything

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("name", ["everything", *OPERATORS])
def test_files_are_valid(name: str) -> None:
    """The checker infers all shapes and compares them with those declared for the outputs."""
    graph = everything() if name == "everything" else OPERATORS[name]
    onnx.checker.check_model(onnx.load_from_string(write_onnx(graph)), full_check=True)


@pytest.mark.parametrize("name", DEFAULT_NAMES)
def test_published_networks_are_valid(name: str, published: Callable[[str], Path]) -> None:
    graph = read_tflite(published(name))
    model = onnx.load_from_string(write_onnx(graph))
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == list(graph.inputs)
    assert [value.name for value in model.graph.output] == list(graph.outputs)
    shapes = [tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in model.graph.output]
    assert tuple(shapes) == graph.output_shapes


def test_the_batch_can_stay_open() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    graph = everything()
    data = write_onnx(graph, dynamic_batch=True)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        x = np.random.default_rng(batch).normal(size=(batch, *INPUT[1:])).astype(np.float32)
        made = session.run(list(graph.outputs), {"x": x})
        for one, other in zip(made, reference.run(graph.with_batch(batch), x), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5)


def test_weights_are_single_precision() -> None:
    model = onnx.load_from_string(write_onnx(everything()))
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}

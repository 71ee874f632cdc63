"""Graphs back into TFLite files: with heads cut off, at another size or batch, without custom operators.

LiteRT runs files, so a graph that was cut or came from TensorFlow.js is written as one. Constants stay at the
precision they have: float16 ones get a DEQUANTIZE operator, as in the published files, which LiteRT undoes once
while it prepares the network. Every operator is one of the schema's own; MediaPipe's custom transposed convolution
comes back as TRANSPOSE_CONV.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .flatbuffer import Fields, serialise
from .graph import Graph, Node
from .operators import Shape
from .tflite_schema import IDENTIFIER, NAMES, OPTIONS, Activation, Builtin, Type

__all__ = ["write_tflite"]

BUILTINS = {name: builtin for builtin, name in NAMES.items()}
VERSIONS = {Builtin.DEQUANTIZE: 3, Builtin.RESIZE_BILINEAR: 3, Builtin.TRANSPOSE_CONV: 3}  # as far as not 1


def write_tflite(graph: Graph, metadata: bytes | None = None) -> bytes:
    """The graph as a TFLite flatbuffer, with its batch size and precision of constants.

    Args:
        graph: the network.
        metadata: a buffer to be stored as "TFLITE_METADATA", where MediaPipe looks for how to feed a network.
    """
    model = _Model()
    indices = {name: model.tensor(name, graph.shapes[name], Type.FLOAT32) for name in graph.inputs}
    for name, value in graph.constants.items():
        indices[name] = model.constant(name, value)
    for node in graph.nodes:
        indices[node.output] = model.tensor(node.output, graph.shapes[node.output], Type.FLOAT32)
        _add_operator(model, node, graph, indices)
    inputs, outputs = ([indices[name] for name in names] for names in (graph.inputs, graph.outputs))
    return model.to_bytes(inputs, outputs, metadata)


class _Model:
    """The lists that a TFLite model consists of, while they grow."""

    def __init__(self) -> None:
        self.buffers: list[Fields] = [{}]  # by convention the first is empty and belongs to tensors without data
        self.tensors: list[Fields] = []
        self.operators: list[Fields] = []
        self.codes: dict[Builtin, int] = {}

    def tensor(self, name: str, shape: Shape, kind: Type, data: npt.NDArray[Any] | None = None) -> int:
        buffer = 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append({0: np.ascontiguousarray(data).reshape(-1).view(np.uint8)})
        self.tensors.append({0: np.array(shape, "<i4"), 1: ("<b", kind), 2: ("<I", buffer), 3: name})
        return len(self.tensors) - 1

    def constant(self, name: str, value: npt.NDArray[Any]) -> int:
        """A tensor of float32 values, through DEQUANTIZE where they are stored as float16."""
        if value.dtype == np.float32:
            return self.tensor(name, value.shape, Type.FLOAT32, value)
        stored = self.tensor(f"{name}/float16", value.shape, Type.FLOAT16, value)
        widened = self.tensor(name, value.shape, Type.FLOAT32)
        self.operator(Builtin.DEQUANTIZE, [stored], widened)
        return widened

    def integers(self, name: str, values: npt.ArrayLike) -> int:
        array = np.array(values, "<i4")
        return self.tensor(name, array.shape, Type.INT32, array)

    def operator(self, builtin: Builtin, inputs: list[int], output: int, options: Fields | None = None) -> None:
        code = self.codes.setdefault(builtin, len(self.codes))
        fields: dict[int, Any] = {0: ("<I", code), 1: np.array(inputs, "<i4"), 2: np.array([output], "<i4")}
        if builtin in OPTIONS:
            fields |= {3: ("<B", OPTIONS[builtin].kind), 4: options or {}}
        self.operators.append(fields)

    def to_bytes(self, inputs: list[int], outputs: list[int], metadata: bytes | None) -> bytes:
        codes = [
            {0: ("<b", min(builtin, 127)), 2: ("<i", VERSIONS.get(builtin, 1)), 3: ("<i", builtin)}
            for builtin in self.codes
        ]
        subgraph = {
            0: self.tensors,
            1: np.array(inputs, "<i4"),
            2: np.array(outputs, "<i4"),
            3: self.operators,
        }
        fields = {0: ("<I", 3), 1: codes, 2: [subgraph], 4: self.buffers}
        if metadata is not None:
            fields |= {
                4: [*self.buffers, {0: np.frombuffer(metadata, np.uint8)}],
                6: [{0: "TFLITE_METADATA", 1: ("<I", len(self.buffers))}],
            }
        return serialise(fields, IDENTIFIER)


def _add_operator(model: _Model, node: Node, graph: Graph, indices: Mapping[str, int]) -> None:
    builtin, a, name = BUILTINS[node.op], node.attributes, node.output
    inputs = [indices[value] for value in node.inputs]
    options = _common_options(builtin, a)
    if node.op in ("conv2d", "depthwise_conv2d") and len(inputs) == 2:  # TFLite's own kernels demand a bias
        inputs.append(model.constant(f"{name}/bias", np.zeros(graph.shapes[name][3], np.float32)))
    match node.op:
        case "concat":
            options[0] = ("<i", a["axis"])
        case "depth_to_space":
            options[0] = ("<i", a["block"])
        case "depthwise_conv2d":
            channels, made = (graph.shapes[value][3] for value in node.inputs[:2])
            options[3] = ("<i", made // channels)
        case "mean":
            inputs.append(model.integers(f"{name}/axes", a["axes"]))
            options[0] = ("<B", a["keep_dims"])
        case "pad":
            inputs.append(model.integers(f"{name}/paddings", a["paddings"]))
        case "reshape":
            inputs.append(model.integers(f"{name}/shape", graph.shapes[name]))
        case "resize_bilinear":
            inputs.append(model.integers(f"{name}/size", a["size"]))
            options |= {2: ("<B", a["align_corners"]), 3: ("<B", a["half_pixel"])}
        case "softmax":
            options[0] = ("<f", 1)
        case "transposed_conv2d":
            source, weights, *bias = inputs
            inputs = [model.integers(f"{name}/shape", graph.shapes[name]), weights, source, *bias]
    model.operator(builtin, inputs, indices[name], options)


def _common_options(builtin: Builtin, a: Mapping[str, Any]) -> dict[int, Any]:
    fields, options = OPTIONS.get(builtin), dict[int, Any]()
    if fields is None:
        return options
    if fields.activation is not None:
        options[fields.activation] = ("<b", Activation[a["activation"].upper()])
    if fields.padding is not None:
        options[fields.padding] = ("<b", a["padding"] == "valid")
    for name, pair in (
        ("strides", fields.strides_hw),
        ("dilations", fields.dilations_hw),
        ("window", fields.window_hw),
    ):
        if pair is not None:
            options |= {field: ("<i", size) for field, size in zip(pair, a[name], strict=True)}
    return options

"""TFLite files into graphs, without TensorFlow.

What a TFLite file says in operators and a graph says in values:

* Weights stored at half precision go through DEQUANTIZE operators, sparse ones through DENSIFY. Here both are
  undone: a sparse tensor becomes a dense constant, a half-precision one a float16 constant (half the memory; its
  float32 value is exact), and the operators vanish.
* Sizes, axes, paddings and shapes that come as integer tensors become attributes.
* MediaPipe's custom Convolution2DTransposeBias becomes the plain `transposed_conv2d`.

Files are not trusted: whatever they hold, the outcome is a `Graph` or a `ModelFileError`, in time and memory in
proportion to the file (only sparse tensors can grow, to at most `MAX_DENSE_ELEMENTS`).
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelFileError
from .flatbuffer import Table, root
from .graph import Graph, Node, make_graph
from .mapped import map_file
from .operators import Shape
from .tflite_schema import (
    IDENTIFIER,
    NAMES,
    OPTIONS,
    TRANSPOSED_CONVOLUTION_WITH_BIAS,
    Activation,
    Builtin,
    Type,
)

__all__ = ["read_tflite"]

MAX_DENSE_ELEMENTS = 2**25
"""Most elements that the sparse tensors of one file may have together once they are dense (128 MB as float32)."""

DTYPES = {Type.FLOAT32: "<f4", Type.FLOAT16: "<f2", Type.INT32: "<i4"}
SPARSE_INDEX_DTYPES = {1: "<i4", 2: "<u2", 3: "u1"}

Integers = tuple[int, ...]


def read_tflite(source: bytes | os.PathLike[str] | str) -> Graph:
    """Read a float TFLite network from its bytes or its file.

    Raises `ModelFileError` for a file that cannot be read, is damaged, or needs what a `Graph` cannot express:
    quantised weights, several subgraphs, operators outside `posemask.networks.operators`.
    """
    if isinstance(source, bytes):
        return _read(memoryview(source))
    path = Path(source)
    try:
        data = map_file(path)
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return _read(data)
    except ModelFileError as error:
        raise ModelFileError(f"{path.name}: {error}") from error


def _read(data: memoryview) -> Graph:
    try:
        model = root(data, IDENTIFIER)
    except ModelFileError as error:
        raise ModelFileError(f"not a TFLite network: {error}") from None
    version, subgraphs = model.scalar(0, "<I", 0), model.tables(2)
    if version != 3 or len(subgraphs) != 1:
        raise ModelFileError(
            f"expected TFLite version 3 with one subgraph, got version {version} with {len(subgraphs)}"
        )
    subgraph = subgraphs[0]
    tensors = _Tensors(subgraph.tables(0), model.tables(4))
    codes = model.tables(1)
    inputs = {tensors.name(i): tensors.shape(i) for i in tensors.indices(subgraph.vector(1, "<i4"))}

    nodes = []
    for operator in subgraph.tables(3):
        node = _node(operator, codes, tensors)
        if node is not None:
            nodes.append(node)
    outputs = [tensors.name(i) for i in tensors.indices(subgraph.vector(2, "<i4"))]
    graph = make_graph(nodes, tensors.constants, inputs, outputs)
    for name, declared in tensors.declared_shapes().items():
        if graph.shapes.get(name, declared) != declared:
            raise ModelFileError(f"tensor {name!r} is declared as {declared} but is {graph.shapes[name]}")
    return graph


class _Tensors:
    """The tensors of a file by index: their names, shapes, and what is constant in them."""

    def __init__(self, tensors: list[Table], buffers: list[Table]) -> None:
        self._tensors, self._buffers = tensors, buffers
        self._aliases: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._dense_elements = 0
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self._tensors)

    def indices(self, vector: npt.NDArray[Any] | None) -> Integers:
        """A vector of tensor numbers, each of them checked; -1 (an operand left out) is dropped."""
        indices = tuple(vector.tolist()) if vector is not None and len(vector) <= len(self) else ()
        if any(not -1 <= i < len(self) for i in indices) or (vector is not None and len(indices) != len(vector)):
            raise ModelFileError("the file is damaged: an operator names a tensor that is not there")
        return tuple(i for i in indices if i >= 0)

    def alias(self, made: int, source: int) -> None:
        """The tensor `made` is nothing but `source` in another encoding."""
        self._aliases[made] = self._aliases.get(source, source)

    def name(self, index: int) -> str:
        """A name of its own for a tensor; constants are collected when they are first named."""
        index = self._aliases.get(index, index)
        if index not in self._names:
            name = self._tensors[index].text(3)
            if not name or name in self._taken:
                name = f"{name}#{index}"
            self._names[index] = name
            self._taken.add(name)
            value = self._value(index)
            if value is not None:
                self.constants[name] = value
        return self._names[index]

    def shape(self, index: int) -> Shape:
        """The shape that the file declares."""
        vector = self._tensors[index].vector(0, "<i4")
        shape = () if vector is None else tuple(vector[:9].tolist())
        if len(shape) > 8 or any(size < 0 for size in shape):
            raise ModelFileError(f"the file is damaged: a tensor of shape {shape}")
        return shape

    def declared_shapes(self) -> dict[str, Shape]:
        """The shapes that the file declares for every value named so far."""
        return {name: self.shape(index) for index, name in self._names.items()}

    def integers(self, index: int) -> Integers:
        """A constant int32 tensor, flat."""
        value = self._value(index)
        if value is None or value.dtype != np.int32 or value.size > 16:
            raise ModelFileError(f"expected a small constant of integers in tensor {self._tensors[index].text(3)!r}")
        return tuple(value.ravel().tolist())

    def _value(self, index: int) -> npt.NDArray[Any] | None:
        tensor = self._tensors[index]
        buffer = tensor.scalar(2, "<I", 0)
        if buffer >= len(self._buffers):
            raise ModelFileError(f"the file is damaged: it has no buffer {buffer}")
        raw = self._buffers[buffer].vector(0, "u1")
        kind, shape = tensor.scalar(1, "<b", 0), self.shape(index)
        if kind not in DTYPES:
            raise ModelFileError(
                f"tensor {tensor.text(3)!r} has type number {kind}; only float32, float16 and int32 can be read"
            )
        if raw is None or not len(raw):
            return None
        dtype, elements = np.dtype(DTYPES[Type(kind)]), math.prod(shape)
        sparsity = tensor.table(6)
        if sparsity is not None:
            self._dense_elements += elements
            if self._dense_elements > MAX_DENSE_ELEMENTS:
                raise ModelFileError(f"the sparse tensors have more than {MAX_DENSE_ELEMENTS} elements")
            if len(raw) % dtype.itemsize:
                raise ModelFileError(f"the file is damaged: {len(raw)} bytes are not whole {dtype} values")
            return _dense(sparsity, raw.view(dtype), shape)
        if len(raw) != elements * dtype.itemsize:
            raise ModelFileError(f"the file is damaged: {len(raw)} bytes for {shape} of {dtype}")
        return raw.view(dtype).reshape(shape)


def _dense(sparsity: Table, values: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """Spread the stored values of a sparse tensor over its full shape.

    Dimensions are stored in `traversal order`; each is either dense or holds, for every position of the dimensions
    before it, a segment of the indices that are there (format: "Sparsity" in the TFLite schema).
    """
    order_vector, blocks, dimensions = sparsity.vector(0, "<i4"), sparsity.vector(1, "<i4"), sparsity.tables(2)
    order = list(range(len(shape))) if order_vector is None else order_vector[:9].tolist()
    if blocks is not None and len(blocks):
        raise ModelFileError("sparse weights in blocks are not supported")
    if sorted(order) != list(range(len(shape))) or len(dimensions) != len(shape):
        raise ModelFileError(f"the file is damaged: {len(dimensions)} sparse dimensions for shape {shape}")

    positions = np.zeros(1, np.int64)  # of what is stored, in the flattened traversal order
    for axis, dimension in zip(order, dimensions, strict=True):
        size = shape[axis]
        if dimension.scalar(0, "<b", 0) == 0:
            positions = (positions[:, None] * size + np.arange(size)).ravel()
            continue
        segments, indices = _sparse_indices(dimension, 2), _sparse_indices(dimension, 4)
        counts = np.diff(segments)
        if (
            len(segments) != len(positions) + 1
            or segments[0] != 0
            or segments[-1] != len(indices)
            or (counts < 0).any()
            or (indices < 0).any()
            or (indices >= size).any()
        ):
            raise ModelFileError("the file is damaged: the indices of a sparse tensor contradict each other")
        positions = np.repeat(positions, counts) * size + indices
    if len(positions) != len(values):
        raise ModelFileError(
            f"the file is damaged: {len(values)} values for {len(positions)} places of a sparse tensor"
        )
    dense = np.zeros(math.prod(shape), values.dtype)
    dense[positions] = values
    return dense.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


def _sparse_indices(dimension: Table, kind_field: int) -> npt.NDArray[np.int64]:
    kind, vector = dimension.scalar(kind_field, "<B", 0), dimension.table(kind_field + 1)
    values = vector.vector(0, SPARSE_INDEX_DTYPES[kind]) if vector is not None and kind in SPARSE_INDEX_DTYPES else None
    if values is None or not len(values):
        return np.zeros(0, np.int64) if kind_field == 4 else np.zeros(1, np.int64)
    return values.astype(np.int64)


def _node(operator: Table, codes: list[Table], tensors: _Tensors) -> Node | None:
    """One operator of the file; None for one that only decodes a constant."""
    builtin = _builtin(operator, codes)
    inputs, outputs = tensors.indices(operator.vector(1, "<i4")), tensors.indices(operator.vector(2, "<i4"))
    if not inputs or len(outputs) != 1:
        raise ModelFileError(f"the file is damaged: {builtin.name} with {len(inputs)} inputs, {len(outputs)} outputs")
    if builtin in (Builtin.DEQUANTIZE, Builtin.DENSIFY):
        tensors.alias(outputs[0], inputs[0])
        return None
    if builtin is Builtin.CUSTOM:
        op, attributes = "transposed_conv2d", _custom_attributes(operator)
    else:
        op = NAMES[builtin]
        options = operator.table(4)
        attributes = {
            **_common_attributes(builtin, options),
            **_own_attributes(builtin, options, inputs, outputs[0], tensors),
        }
    if builtin in (Builtin.MEAN, Builtin.PAD, Builtin.RESHAPE, Builtin.RESIZE_BILINEAR):
        inputs = inputs[:1]  # the second holds attributes
    if builtin is Builtin.TRANSPOSE_CONV:
        inputs = (inputs[2], inputs[1], *inputs[3:])  # it begins with the output's shape, which says nothing new
    return Node(op, tuple(tensors.name(i) for i in inputs), tensors.name(outputs[0]), attributes)


def _builtin(operator: Table, codes: list[Table]) -> Builtin:
    index = operator.scalar(0, "<I", 0)
    if index >= len(codes):
        raise ModelFileError(f"the file is damaged: it has no operator code {index}")
    code = codes[index]
    number = max(code.scalar(0, "<b", 0), code.scalar(3, "<i", 0))  # the first is the older, one-byte field
    try:
        builtin = Builtin(number)
    except ValueError:
        raise ModelFileError(f"TFLite operator number {number} is not supported") from None
    if builtin is Builtin.CUSTOM and code.text(1) != TRANSPOSED_CONVOLUTION_WITH_BIAS:
        raise ModelFileError(f"the custom operator {code.text(1)!r} is not supported")
    return builtin


def _common_attributes(builtin: Builtin, options: Table | None) -> dict[str, Any]:
    """The attributes that several operators store alike, at places that `OPTIONS` tells."""
    fields = OPTIONS.get(builtin)
    if fields is None:
        return {}
    table = options or _EMPTY
    attributes: dict[str, Any] = {}
    if fields.activation is not None:
        number = table.scalar(fields.activation, "<b", 0)
        if number not in set(Activation):
            raise ModelFileError(f"{builtin.name}: activation number {number} is not supported")
        attributes["activation"] = Activation(number).name.lower()
    if fields.padding is not None:
        attributes["padding"] = "valid" if table.scalar(fields.padding, "<b", 0) else "same"
    for name, pair, default in (
        ("strides", fields.strides_hw, 0),
        ("dilations", fields.dilations_hw, 1),
        ("window", fields.window_hw, 0),
    ):
        if pair is not None:
            attributes[name] = tuple(table.scalar(field, "<i", default) for field in pair)
    return attributes


def _own_attributes(
    builtin: Builtin, options: Table | None, inputs: Integers, output: int, tensors: _Tensors
) -> dict[str, Any]:
    """The attributes that only one operator has, from its options or from its integer operands."""
    table = options or _EMPTY
    expected = {Builtin.MEAN: 2, Builtin.PAD: 2, Builtin.RESIZE_BILINEAR: 2, Builtin.TRANSPOSE_CONV: 3}
    if len(inputs) < expected.get(builtin, 1):
        raise ModelFileError(f"the file is damaged: {builtin.name} with {len(inputs)} inputs")
    rank = len(tensors.shape(inputs[0]))
    match builtin:
        case Builtin.CONCATENATION:
            axis = table.scalar(0, "<i", 0)
            return {"axis": axis + rank if axis < 0 else axis}
        case Builtin.DEPTH_TO_SPACE:
            return {"block": table.scalar(0, "<i", 0)}
        case Builtin.MEAN:
            axes = tuple(axis + rank if axis < 0 else axis for axis in tensors.integers(inputs[1]))
            return {"axes": axes, "keep_dims": bool(table.scalar(0, "<b", 0))}
        case Builtin.PAD:
            flat = tensors.integers(inputs[1])
            return {"paddings": tuple(zip(flat[::2], flat[1::2], strict=False))}
        case Builtin.RESHAPE:
            shape = tensors.integers(inputs[1]) if len(inputs) > 1 else tensors.shape(output)
            if not rank or shape[:1] not in ((-1,), tensors.shape(inputs[0])[:1]):
                raise ModelFileError(f"RESHAPE to {shape} does not leave the batch alone")
            return {"shape": shape[1:]}
        case Builtin.RESIZE_BILINEAR:
            return {
                "size": tensors.integers(inputs[1]),
                "align_corners": bool(table.scalar(2, "<b", 0)),
                "half_pixel": bool(table.scalar(3, "<b", 0)),
            }
        case Builtin.SOFTMAX if table.scalar(0, "<I", 0) != ONE_AS_FLOAT_BITS:
            raise ModelFileError("SOFTMAX with a beta other than 1 is not supported")
    return {}


def _custom_attributes(operator: Table) -> dict[str, Any]:
    """Options of Convolution2DTransposeBias: three int32: padding (1 same, 2 valid), stride width, stride height."""
    raw = operator.vector(5, "u1")
    if raw is None or len(raw) != 12:
        raise ModelFileError(f"{TRANSPOSED_CONVOLUTION_WITH_BIAS} must have 12 bytes of options")
    padding, width, height = raw.view("<i4").tolist()
    if padding not in (1, 2):
        raise ModelFileError(f"{TRANSPOSED_CONVOLUTION_WITH_BIAS} with padding number {padding}")
    return {"padding": "same" if padding == 1 else "valid", "strides": (height, width)}


ONE_AS_FLOAT_BITS = 0x3F800000
_EMPTY = Table(memoryview(bytes([4, 0, 0, 0, 4, 0, 0, 0])), 4)  # a table without fields: every field has its default

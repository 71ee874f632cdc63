"""Reads a TensorFlow.js graph model (``model.json`` and its weight shards) into a `Graph`.

A graph model is TensorFlow's own list of nodes in JSON, in any order, and one long run of bytes (the shards, joined)
that holds the weights one after the other, perhaps as float16 or as 8- or 16-bit integers with a scale and a minimum.
The steps here:

1. `_read_document`, `_read_weights`: JSON and shards into a list of nodes and named arrays, trusting neither;
2. `_in_running_order`: the nodes sorted so that each comes after what it reads;
3. `CONVERTERS`: each TensorFlow operator into ours;
4. `_fuse`: additions of a bias and activations into the convolution before them, as TFLite files have them.

Outputs stand in the order of the file's signature under its names; a file without one gives every value that no node
reads, in the file's order (this is what TensorFlow.js does). Sizes that the file leaves open become 1 for the batch and
`OPEN_SIZE` for height and width; `Graph.with_input_shape` gives others.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelFileError
from .graph import MAX_ELEMENTS, Graph, Node, make_graph

__all__ = ["OPEN_SIZE", "read_tfjs"]

OPEN_SIZE = 257
MAX_DOCUMENT_BYTES = 64 * 2**20
MAX_WEIGHT_BYTES = 2**30
MAX_NODES = 20_000

Array = npt.NDArray[Any]


def read_tfjs(model_json: str | os.PathLike[str]) -> Graph:
    """The network of a TensorFlow.js graph model.

    Args:
        model_json: path of the JSON file; its shards must lie in the same folder or below it.

    Raises `ModelFileError` for a missing or malformed file, a shard of the wrong size or outside the folder, or an
    operator that is not supported.
    """
    path = Path(model_json)
    document = _read_document(path)
    try:
        weights = _read_weights(document.get("weightsManifest"), path.parent)
        tf_nodes = _parse_nodes(document["modelTopology"])
        builder = _Builder(arrays=weights)
        for node in _in_running_order(tf_nodes):
            builder.add(node)
        nodes, constants, outputs = builder.finish(_signature_outputs(document) or _unread(tf_nodes))
        return make_graph(nodes, constants, builder.inputs, outputs).keep_outputs(outputs)
    except ModelFileError as error:
        raise ModelFileError(f"{path.name}: {error}") from error.__cause__


# ----------------------------------------------------------------------------------------- the document


def _read_document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise ModelFileError(f"{path.name} is larger than {MAX_DOCUMENT_BYTES} bytes; this is no graph model")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("modelTopology"), dict):
        raise ModelFileError(f"{path.name} is no TensorFlow.js model: it has no modelTopology")
    if document.get("format", "graph-model") != "graph-model" or "node" not in document["modelTopology"]:
        raise ModelFileError(f"{path.name} is not a graph model (a layers model must be converted first)")
    return document


@dataclass(frozen=True, slots=True)
class _TfNode:
    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]


def _parse_nodes(topology: Any) -> list[_TfNode]:
    rows = topology.get("node")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_NODES:
        raise ModelFileError(f"modelTopology.node must be a list of 1 to {MAX_NODES} nodes")
    nodes = []
    for row in rows:
        if not isinstance(row, dict):
            raise ModelFileError(f"a node must be an object, got {type(row).__name__}")
        name, op, inputs, attributes = row.get("name"), row.get("op"), row.get("input", []), row.get("attr", {})
        if not (isinstance(name, str) and isinstance(op, str) and isinstance(attributes, dict)):
            raise ModelFileError(f"a node needs a name, an op and attributes, got {str(row)[:80]}")
        if not isinstance(inputs, list) or not all(isinstance(item, str) for item in inputs):
            raise ModelFileError(f"the inputs of node {name!r} must be names")
        # A leading ^ marks an order of execution, not a value.
        values = tuple(_first_output(item) for item in inputs if not item.startswith("^"))
        nodes.append(_TfNode(name, op, values, attributes))
    repeated = [name for name, times in Counter(node.name for node in nodes).items() if times > 1]
    if repeated:
        raise ModelFileError(f"two nodes are called {repeated[0]!r}")
    return nodes


def _first_output(tensor: str) -> str:
    """Node name of a tensor name ``node`` or ``node:0``; all supported operators have one output."""
    node, colon, number = tensor.partition(":")
    if colon and number != "0":
        raise ModelFileError(f"the value {tensor!r} is not a node's only output")
    return node


def _in_running_order(nodes: Sequence[_TfNode]) -> list[_TfNode]:
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        unknown = [name for name in node.inputs if name not in by_name]
        if unknown:
            raise ModelFileError(f"node {node.name!r} reads {unknown[0]!r}, which does not exist")
    missing = {node.name: len(set(node.inputs)) for node in nodes}
    readers: dict[str, list[_TfNode]] = {node.name: [] for node in nodes}
    for node in nodes:
        for name in set(node.inputs):
            readers[name].append(node)
    ordered = [node for node in nodes if not node.inputs]
    for node in ordered:  # grows while it is walked
        for reader in readers[node.name]:
            missing[reader.name] -= 1
            if missing[reader.name] == 0:
                ordered.append(reader)
    if len(ordered) < len(nodes):
        raise ModelFileError("the nodes read each other in a circle")
    return ordered


def _unread(nodes: Sequence[_TfNode]) -> dict[str, str]:
    """The nodes that no node reads, each by its own name, in the file's order."""
    read = {name for node in nodes for name in node.inputs}
    return {node.name: node.name for node in nodes if node.name not in read and node.op not in ("Const", "Placeholder")}


def _signature_outputs(document: Mapping[str, Any]) -> dict[str, str] | None:
    """Node name of every output by its public name, in the signature's order; None without a signature."""
    signature = document.get("signature")
    if signature is None:
        metadata = document.get("userDefinedMetadata")
        signature = metadata.get("signature") if isinstance(metadata, dict) else None
    if signature is None:
        return None
    outputs = signature.get("outputs") if isinstance(signature, dict) else None
    if not isinstance(outputs, dict) or not outputs:
        raise ModelFileError("the signature names no outputs")
    named = {}
    for key, value in outputs.items():
        tensor = value.get("name") if isinstance(value, dict) else None
        if not isinstance(tensor, str):
            raise ModelFileError(f"the signature's output {key!r} names no value")
        named[key.partition(":")[0]] = _first_output(tensor)
    return named


# ------------------------------------------------------------------------------------------ the weights

_STORED = {"float32": "<f4", "float16": "<f2", "uint8": "u1", "uint16": "<u2", "int32": "<i4"}


def _read_weights(manifest: Any, folder: Path) -> dict[str, Array]:
    if not isinstance(manifest, list):
        raise ModelFileError("weightsManifest must be a list of groups")
    arrays: dict[str, Array] = {}
    for group in manifest:
        paths, specs = (group.get("paths"), group.get("weights")) if isinstance(group, dict) else (None, None)
        if not isinstance(paths, list) or not isinstance(specs, list):
            raise ModelFileError("a group of weightsManifest needs paths and weights")
        weights = [_Weight.parse(spec) for spec in specs]
        data = _read_shards(folder, paths, expected=sum(weight.nbytes for weight in weights))
        start = 0
        for weight in weights:
            if weight.name in arrays:
                raise ModelFileError(f"the weight {weight.name!r} is listed twice")
            arrays[weight.name] = weight.decode(data[start : start + weight.nbytes])
            start += weight.nbytes
    return arrays


@dataclass(frozen=True, slots=True)
class _Weight:
    """One entry of the manifest, checked."""

    name: str
    shape: tuple[int, ...]
    stored: str
    scale: float | None  # None: the stored numbers are the weights
    minimum: float

    @classmethod
    def parse(cls, spec: Any) -> _Weight:
        name, shape, dtype = (
            (spec.get(key) for key in ("name", "shape", "dtype")) if isinstance(spec, dict) else [None] * 3
        )
        if not isinstance(name, str) or not isinstance(shape, list) or len(shape) > 6:
            raise ModelFileError(f"a weight needs a name, a shape and a dtype, got {str(spec)[:80]}")
        if any(isinstance(size, bool) or not isinstance(size, int) or size < 0 for size in shape):
            raise ModelFileError(f"the weight {name!r} has the shape {shape}")
        if math.prod(shape) > MAX_ELEMENTS:
            raise ModelFileError(f"the weight {name!r} of shape {shape} has more than {MAX_ELEMENTS} elements")
        quantization = spec.get("quantization")
        scale, minimum, stored = None, 0.0, dtype
        if quantization is not None:
            stored = quantization.get("dtype") if isinstance(quantization, dict) else None
            if stored in ("uint8", "uint16"):
                scale = _finite(name, quantization.get("scale"))
                minimum = _finite(name, quantization.get("min"))
            elif stored != "float16":
                raise ModelFileError(
                    f"the weight {name!r} is quantised as {stored!r}; expected float16, uint8 or uint16"
                )
        if dtype not in ("float32", "int32") or stored not in _STORED:
            raise ModelFileError(f"the weight {name!r} has the type {dtype!r}; expected float32 or int32")
        return cls(name, tuple(shape), stored, scale, minimum)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(_STORED[self.stored]).itemsize

    def decode(self, data: bytes) -> Array:
        array = np.frombuffer(data, dtype=_STORED[self.stored]).reshape(self.shape)
        if self.scale is None:
            return array
        # In float32, as TensorFlow.js does it.
        return array.astype(np.float32) * np.float32(self.scale) + np.float32(self.minimum)


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
        raise ModelFileError(f"the weight {name!r} has the scale or minimum {value!r}")
    return float(value)


def _read_shards(folder: Path, names: Sequence[Any], *, expected: int) -> bytes:
    if expected > MAX_WEIGHT_BYTES:
        raise ModelFileError(f"the weights would take {expected} bytes; at most {MAX_WEIGHT_BYTES} are read")
    paths = [_shard_path(folder, name) for name in names]
    try:
        sizes = [path.stat().st_size for path in paths]
        if sum(sizes) != expected:
            listed = ", ".join(f"{path.name} ({size})" for path, size in zip(paths, sizes, strict=True))
            raise ModelFileError(f"the weights take {expected} bytes, but the shards hold {sum(sizes)}: {listed}")
        data = b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise ModelFileError(
            f"cannot read the weight shard {error.filename}: {error.strerror or error}; it belongs beside the JSON file"
        ) from error
    if len(data) != expected:
        raise ModelFileError(f"the weights take {expected} bytes, but {len(data)} were read")
    return data


def _shard_path(folder: Path, name: Any) -> Path:
    """The shard's path, if it lies in the model's folder; links are followed before that is decided."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise ModelFileError(f"a weight shard must be named by a relative path, got {name!r}")
    outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or "://" in name
    if outside or ".." in PurePosixPath(name.replace("\\", "/")).parts:
        raise ModelFileError(f"the weight shard {name!r} lies outside the model's folder")
    try:
        path = (folder / name).resolve()
        home = folder.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise ModelFileError(f"the weight shard {name!r} cannot be found: {error}") from error
    if not path.is_relative_to(home):
        raise ModelFileError(f"the weight shard {name!r} leads outside the model's folder")
    return path


# --------------------------------------------------------------------------------------- the operators


def _ints(node: _TfNode, key: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
    value = node.attributes.get(key)
    if value is None and default is not None:
        return tuple(default)
    try:
        return tuple(int(item) for item in value["list"].get("i", []))  # type: ignore[index]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelFileError(f"node {node.name!r} needs a list of integers {key!r}") from error


def _flag(node: _TfNode, key: str) -> bool:
    value = node.attributes.get(key, {"b": False})
    if not isinstance(value, dict) or not isinstance(value.get("b", False), bool):
        raise ModelFileError(f"node {node.name!r} needs true or false for {key!r}")
    return bool(value.get("b", False))


def _decode_text(node: _TfNode, key: str, value: Any) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (TypeError, ValueError, binascii.Error) as error:
        raise ModelFileError(f"node {node.name!r} needs base64 text for {key!r}") from error


def _text(node: _TfNode, key: str, default: str) -> str:
    value = node.attributes.get(key)
    if value is None:
        return default
    return _decode_text(node, key, value.get("s") if isinstance(value, dict) else None)


def _texts(node: _TfNode, key: str) -> tuple[str, ...]:
    value = node.attributes.get(key)
    items = value.get("list", {}) if isinstance(value, dict) else None
    texts = items.get("s", []) if isinstance(items, dict) else None
    if not isinstance(texts, list):
        raise ModelFileError(f"node {node.name!r} needs a list of texts {key!r}")
    return tuple(_decode_text(node, key, text) for text in texts)


def _spatial(node: _TfNode, key: str) -> tuple[int, int]:
    """(height, width) of an attribute that has four numbers, the first and last of which must be 1."""
    sizes = _ints(node, key, (1, 1, 1, 1))
    if len(sizes) != 4 or sizes[0] != 1 or sizes[3] != 1:
        raise ModelFileError(f"node {node.name!r} has {key} {sizes}; expected (1, height, width, 1)")
    return sizes[1], sizes[2]


def _padding(node: _TfNode) -> str:
    if _text(node, "data_format", "NHWC") != "NHWC":
        raise ModelFileError(f"node {node.name!r} is not in NHWC order")
    padding = _text(node, "padding", "").lower()
    if padding not in ("same", "valid"):
        raise ModelFileError(f"node {node.name!r} has the padding {padding!r}; expected SAME or VALID")
    return padding


@dataclass(slots=True)
class _Builder:
    """Collects converted nodes. Values keep the names of TensorFlow's nodes."""

    arrays: dict[str, Array]
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def add(self, node: _TfNode) -> None:
        converter = CONVERTERS.get(node.op)
        if converter is None:
            raise ModelFileError(f"the operator {node.op!r} of node {node.name!r} is not supported")
        least, most = converter.inputs
        if not least <= len(node.inputs) <= most:
            raise ModelFileError(f"node {node.name!r} ({node.op}) has {len(node.inputs)} inputs")
        converter.convert(self, node)

    def value(self, name: str) -> str:
        """The value that ``name`` stands for."""
        return self.aliases.get(name, name)

    def emit(self, op: str, node: _TfNode, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> None:
        names = []
        for name in map(self.value, inputs):
            if name in self.arrays and name not in self.constants:
                array = self.array(name, node)
                # A scalar's shape is the one thing that runtimes broadcast differently.
                self.constants[name] = array.reshape(1) if array.ndim == 0 else array
            names.append(name)
        self.nodes.append(Node(op, tuple(names), output or node.name, attributes))

    def array(self, name: str, node: _TfNode) -> Array:
        """A float constant."""
        array = self.arrays.get(self.value(name))
        if array is None or array.dtype == np.int32:
            raise ModelFileError(f"the input {name!r} of node {node.name!r} ({node.op}) must be a float constant")
        return array

    def integers(self, name: str, node: _TfNode, size: int | None = None) -> list[int]:
        """A constant that says a size, a shape or an axis."""
        array = self.arrays.get(self.value(name))
        if array is None or array.dtype != np.int32 or (size is not None and array.size != size):
            raise ModelFileError(f"the input {name!r} of node {node.name!r} ({node.op}) must be a constant of integers")
        return [int(item) for item in array.ravel()]

    def weights(self, name: str, node: _TfNode, order: tuple[int, ...]) -> str:
        """A constant with four dimensions, its dimensions reordered, under the name of the node that uses it."""
        array = self.array(name, node)
        if array.ndim != 4:
            raise ModelFileError(f"the weights of node {node.name!r} have the shape {array.shape}; expected 4 sizes")
        weights = f"{node.name}/weights"
        self.constants[weights] = np.ascontiguousarray(array.transpose(order))
        return weights

    def finish(self, wanted: Mapping[str, str]) -> tuple[list[Node], dict[str, Array], list[str]]:
        """Fused nodes, constants and output names; ``wanted`` holds the outputs' nodes by their public names."""
        public = {self.value(name): key for key, name in wanted.items()}
        if len(public) < len(wanted):
            raise ModelFileError("two outputs are the same value")
        made = {node.output for node in self.nodes}
        missing = [name for name in public if name not in made]
        if missing or not public:
            raise ModelFileError(f"no node makes the output {missing[0]!r}" if missing else "the model has no output")
        nodes = _fuse(self.nodes, self.constants, set(public))
        taken = {*self.inputs, *self.constants, *made} - set(public)
        rename = {name: key for name, key in public.items() if key not in taken}
        nodes = [
            Node(n.op, tuple(rename.get(i, i) for i in n.inputs), rename.get(n.output, n.output), n.attributes)
            for n in nodes
        ]
        return nodes, self.constants, [rename.get(name, name) for name in public]


Convert = Callable[[_Builder, _TfNode], None]


@dataclass(frozen=True, slots=True)
class _Converter:
    convert: Convert
    inputs: tuple[int, int]  # fewest and most


def _const(builder: _Builder, node: _TfNode) -> None:
    if node.name not in builder.arrays:
        raise ModelFileError(f"the constant {node.name!r} has no weights")


def _placeholder(builder: _Builder, node: _TfNode) -> None:
    try:
        rows = node.attributes["shape"]["shape"]["dim"]
        sizes = [int(row.get("size", -1)) for row in rows]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelFileError(f"the input {node.name!r} has no shape") from error
    open_sizes = [1] + [OPEN_SIZE] * (len(sizes) - 2) + [0]
    builder.inputs[node.name] = tuple(b if a == -1 else a for a, b in zip(sizes, open_sizes, strict=False))


def _identity(builder: _Builder, node: _TfNode) -> None:
    builder.aliases[node.name] = builder.value(node.inputs[0])


def _convolution(depthwise: bool) -> Convert:
    def convert(builder: _Builder, node: _TfNode) -> None:
        x, weights, *rest = node.inputs
        if depthwise:
            name = builder.weights(weights, node, (0, 1, 2, 3))
            height, width, channels, multiplier = builder.constants[name].shape
            builder.constants[name] = builder.constants[name].reshape(1, height, width, channels * multiplier)
        else:
            name = builder.weights(weights, node, (3, 0, 1, 2))  # HWIO -> OHWI
        activation = "none"
        for fused in _texts(node, "fused_ops") if node.op.lstrip("_").startswith("Fused") else ():
            if fused in ("Relu", "Relu6"):
                activation = fused.lower()
            elif fused != "BiasAdd" or len(rest) != 1:
                raise ModelFileError(f"node {node.name!r} has the fused operator {fused!r}, which is not supported")
        if rest:
            bias = f"{node.name}/bias"
            builder.constants[bias] = builder.array(rest[0], node)
            rest = [bias]
        builder.emit(
            "depthwise_conv2d" if depthwise else "conv2d",
            node,
            [x, name, *rest],
            strides=_spatial(node, "strides"),
            dilations=_spatial(node, "dilations"),
            padding=_padding(node),
            activation=activation,
        )

    return convert


def _transposed_convolution(builder: _Builder, node: _TfNode) -> None:
    size, weights, x = node.inputs
    if len(builder.integers(size, node)) not in (2, 4) or _spatial(node, "dilations") != (1, 1):
        raise ModelFileError(f"node {node.name!r} is a transposed convolution of an unsupported kind")
    name = builder.weights(weights, node, (2, 0, 1, 3))  # height, width, out, in -> out, height, width, in
    builder.emit("transposed_conv2d", node, [x, name], strides=_spatial(node, "strides"), padding=_padding(node))


def _elementwise(op: str) -> Convert:
    def convert(builder: _Builder, node: _TfNode) -> None:
        builder.emit(op, node, node.inputs)

    return convert


def _add_many(builder: _Builder, node: _TfNode) -> None:
    total = node.inputs[0]
    for number, name in enumerate(node.inputs[1:], start=2):
        last = number == len(node.inputs)
        output = node.name if last else f"{node.name}/sum_of_{number}"
        builder.emit("add", node, [total, name], output)
        total = output


def _pool(op: str) -> Convert:
    def convert(builder: _Builder, node: _TfNode) -> None:
        window, strides = _spatial(node, "ksize"), _spatial(node, "strides")
        builder.emit(op, node, node.inputs, window=window, strides=strides, padding=_padding(node))

    return convert


def _mean(builder: _Builder, node: _TfNode) -> None:
    axes = tuple(axis % 4 if -4 <= axis < 0 else axis for axis in builder.integers(node.inputs[1], node))
    builder.emit("mean", node, node.inputs[:1], axes=axes, keep_dims=_flag(node, "keep_dims"))


def _resize_bilinear(builder: _Builder, node: _TfNode) -> None:
    builder.emit(
        "resize_bilinear",
        node,
        node.inputs[:1],
        size=tuple(builder.integers(node.inputs[1], node, 2)),
        half_pixel=_flag(node, "half_pixel_centers"),
        align_corners=_flag(node, "align_corners"),
    )


def _pad(builder: _Builder, node: _TfNode) -> None:
    sizes = builder.integers(node.inputs[1], node)
    if len(sizes) % 2 or (len(node.inputs) == 3 and np.any(builder.array(node.inputs[2], node))):
        raise ModelFileError(f"node {node.name!r} pads in a way that is not supported")
    builder.emit("pad", node, node.inputs[:1], paddings=tuple(zip(sizes[::2], sizes[1::2], strict=True)))


def _concat(builder: _Builder, node: _TfNode) -> None:
    *values, axis_name = node.inputs
    axis = builder.integers(axis_name, node, 1)[0]
    builder.emit("concat", node, values, axis=axis % 4 if -4 <= axis < 0 else axis)


def _reshape(builder: _Builder, node: _TfNode) -> None:
    batch, *shape = builder.integers(node.inputs[1], node)
    if batch not in (-1, 1) or (batch == -1 and -1 in shape):
        raise ModelFileError(f"node {node.name!r} reshapes to {[batch, *shape]}, which mixes the pictures of a batch")
    builder.emit("reshape", node, node.inputs[:1], shape=tuple(shape))


def _depth_to_space(builder: _Builder, node: _TfNode) -> None:
    value = node.attributes.get("block_size")
    try:
        block = int(value["i"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError) as error:
        raise ModelFileError(f"node {node.name!r} needs an integer 'block_size'") from error
    builder.emit("depth_to_space", node, node.inputs, block=block)


_BINARY = (2, 2)
CONVERTERS: Mapping[str, _Converter] = {
    "Const": _Converter(_const, (0, 0)),
    "Placeholder": _Converter(_placeholder, (0, 0)),
    "Identity": _Converter(_identity, (1, 1)),
    "Conv2D": _Converter(_convolution(depthwise=False), (2, 2)),
    "_FusedConv2D": _Converter(_convolution(depthwise=False), (2, 3)),
    "DepthwiseConv2dNative": _Converter(_convolution(depthwise=True), (2, 2)),
    "FusedDepthwiseConv2dNative": _Converter(_convolution(depthwise=True), (2, 3)),
    "Conv2DBackpropInput": _Converter(_transposed_convolution, (3, 3)),
    "Add": _Converter(_elementwise("add"), _BINARY),
    "AddV2": _Converter(_elementwise("add"), _BINARY),
    "BiasAdd": _Converter(_elementwise("add"), _BINARY),
    "AddN": _Converter(_add_many, (2, 64)),
    "Sub": _Converter(_elementwise("sub"), _BINARY),
    "Mul": _Converter(_elementwise("mul"), _BINARY),
    "Maximum": _Converter(_elementwise("maximum"), _BINARY),
    "Minimum": _Converter(_elementwise("minimum"), _BINARY),
    "Relu": _Converter(_elementwise("relu"), (1, 1)),
    "Relu6": _Converter(_elementwise("relu6"), (1, 1)),
    "Sigmoid": _Converter(_elementwise("sigmoid"), (1, 1)),
    "Softmax": _Converter(_elementwise("softmax"), (1, 1)),
    "MaxPool": _Converter(_pool("max_pool"), (1, 1)),
    "AvgPool": _Converter(_pool("average_pool"), (1, 1)),
    "Mean": _Converter(_mean, (2, 2)),
    "ResizeBilinear": _Converter(_resize_bilinear, (2, 2)),
    "Pad": _Converter(_pad, (2, 2)),
    "PadV2": _Converter(_pad, (3, 3)),
    "ConcatV2": _Converter(_concat, (2, 64)),
    "Reshape": _Converter(_reshape, (2, 2)),
    "DepthToSpace": _Converter(_depth_to_space, (1, 1)),
}


# ----------------------------------------------------------------------------------------------- fusing

_CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "transposed_conv2d")
_ACTIVATED = (*_CONVOLUTIONS, "add", "sub", "mul")


def _fuse(nodes: Sequence[Node], constants: dict[str, Array], outputs: set[str]) -> list[Node]:
    """Folds a bias and an activation into the operator before them where nobody else reads what lies between."""
    readers = Counter(name for node in nodes for name in node.inputs)
    fused: dict[str, Node] = {}  # by output, in order
    for node in nodes:
        before = next((fused[name] for name in node.inputs if name in fused), None)
        merged = None
        if before is not None and readers[before.output] == 1 and before.output not in outputs:
            merged = _with_bias(before, node, constants) or _with_activation(before, node)
        if merged is not None and before is not None:
            del fused[before.output]
        fused[node.output] = merged or node
    return [_with_zero_bias(node, constants) for node in fused.values()]


def _with_bias(before: Node, node: Node, constants: dict[str, Array]) -> Node | None:
    if before.op not in _CONVOLUTIONS or node.op != "add" or len(before.inputs) != 2:
        return None
    if before.attributes.get("activation", "none") != "none":
        return None
    bias = next((constants[name] for name in node.inputs if name in constants), None)
    channels = _channels(before, constants)
    if bias is None or bias.size != channels or bias.shape[-1] != channels:
        return None
    name = f"{node.output}/bias"
    constants[name] = bias.reshape(channels)
    return Node(before.op, (*before.inputs, name), node.output, before.attributes)


def _with_zero_bias(node: Node, constants: dict[str, Array]) -> Node:
    """LiteRT's convolutions insist on a bias."""
    if node.op not in _CONVOLUTIONS or len(node.inputs) != 2:
        return node
    name = f"{node.output}/bias"
    constants[name] = np.zeros(_channels(node, constants), np.float32)
    return Node(node.op, (*node.inputs, name), node.output, node.attributes)


def _channels(node: Node, constants: Mapping[str, Array]) -> int:
    """Output channels of a convolution."""
    shape = constants[node.inputs[1]].shape
    return int(shape[3] if node.op == "depthwise_conv2d" else shape[0])


def _with_activation(before: Node, node: Node) -> Node | None:
    if node.op not in ("relu", "relu6") or before.op not in _ACTIVATED:
        return None
    if before.attributes.get("activation", "none") != "none":
        return None
    return Node(before.op, before.inputs, node.output, {**before.attributes, "activation": node.op})

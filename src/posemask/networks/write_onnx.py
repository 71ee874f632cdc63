"""Graphs into ONNX files, without the onnx package: an ONNX file is a few nested protobuf messages.

ONNX keeps feature maps as NCHW. So every value of four dimensions is NCHW inside the file, under its name with
"/nchw" behind, and one Transpose at the input and one at each output keep the graph's NHWC at the door. Values of other
ranks stay as they are. Sizes are fixed but for the batch, if asked.

Operator semantics: https://onnx.ai/onnx/operators/; messages: onnx.proto of IR version 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .graph import Graph, Node
from .operators import Shape, same_padding

__all__ = ["write_onnx"]

IR_VERSION, OPSET = 8, 17
NCHW_FROM_NHWC, NHWC_FROM_NCHW = (0, 3, 1, 2), (0, 2, 3, 1)
NCHW_AXIS = (0, 2, 3, 1)  # where each NHWC dimension stands in NCHW

ELEMENTWISE = {
    "add": "Add",
    "hard_swish": "HardSwish",
    "maximum": "Max",
    "minimum": "Min",
    "mul": "Mul",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "sub": "Sub",
}


def write_onnx(graph: Graph, *, dynamic_batch: bool = False) -> bytes:
    """The graph as an ONNX model (opset 17), NHWC float32 in and out, names of inputs and outputs as in the graph.

    Args:
        graph: the network.
        dynamic_batch: leave the batch open (as the symbol "batch") instead of fixing it to the graph's.
    """
    model = _Model(graph, dynamic_batch)
    for name in graph.inputs:
        if len(graph.shapes[name]) == 4:
            model.add("Transpose", [name], model.value(name), perm=NCHW_FROM_NHWC)
    for node in graph.nodes:
        _add_node(model, node)
    for name in graph.outputs:
        if len(graph.shapes[name]) == 4:
            model.add("Transpose", [model.value(name)], name, perm=NHWC_FROM_NCHW)
    return model.to_bytes()


class _Model:
    """The nodes and initialisers of an ONNX graph while they grow."""

    def __init__(self, graph: Graph, dynamic_batch: bool) -> None:
        self.graph, self.dynamic_batch = graph, dynamic_batch
        self._nodes: list[Message] = []
        self._initialisers: dict[str, Message] = {}

    def shape(self, name: str) -> Shape:
        return self.graph.shapes[name]

    def value(self, name: str) -> str:
        """What a value of the graph is called inside the file; a constant operand is added as it is first named."""
        constant = self.graph.constants.get(name)
        if constant is not None:
            missing = max(4 - constant.ndim, 0)  # it meets NCHW values, as numpy would broadcast it to NHWC ones
            spread = constant.reshape((1,) * missing + constant.shape)
            return self.constant(f"{name}/nchw", spread.transpose(NCHW_FROM_NHWC))
        return f"{name}/nchw" if len(self.shape(name)) == 4 else name

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """A constant tensor: float32, or int64 for sizes and the like."""
        if name not in self._initialisers:
            integers = array.dtype.kind == "i"
            raw = np.ascontiguousarray(array, "<i8" if integers else "<f4")
            self._initialisers[name] = [
                *(_integer(1, size) for size in array.shape),
                _integer(2, 7 if integers else 1),
                *_bytes(8, name.encode()),
                *_bytes(9, raw.reshape(-1).view(np.uint8).data),
            ]
        return name

    def add(self, op: str, inputs: Iterable[str], output: str, **attributes: Any) -> None:
        self._nodes.append(
            [
                *(part for name in inputs for part in _bytes(1, name.encode())),
                *_bytes(2, output.encode()),
                *_bytes(3, output.encode()),
                *_bytes(4, op.encode()),
                *(part for name, value in attributes.items() for part in _message(5, _attribute(name, value))),
            ]
        )

    def to_bytes(self) -> bytes:
        graph = [
            *(part for node in self._nodes for part in _message(1, node)),
            *_bytes(2, b"posemask"),
            *(part for tensor in self._initialisers.values() for part in _message(5, tensor)),
            *(part for name in self.graph.inputs for part in _message(11, self._described(name))),
            *(part for name in self.graph.outputs for part in _message(12, self._described(name))),
        ]
        return b"".join(
            [
                _integer(1, IR_VERSION),
                *_bytes(2, b"posemask"),
                *_message(7, graph),
                *_message(8, [*_bytes(1, b""), _integer(2, OPSET)]),
            ]
        )

    def _described(self, name: str) -> Message:
        batch, *sizes = self.shape(name)
        dims: list[Message] = [_bytes(2, b"batch") if self.dynamic_batch else [_integer(1, batch)]]
        dims += [[_integer(1, size)] for size in sizes]
        shape = [part for dim in dims for part in _message(1, dim)]
        return [*_bytes(1, name.encode()), *_message(2, _message(1, [_integer(1, 1), *_message(2, shape)]))]


def _add_node(model: _Model, node: Node) -> None:
    """Translate one operator; a fused activation becomes a node of its own behind it."""
    activation = node.attributes.get("activation", "none")
    output = model.value(node.output)
    raw = output if activation == "none" else f"{output}/linear"
    a, name = node.attributes, node.output
    source = model.value(node.inputs[0])
    match node.op:
        case "conv2d" | "depthwise_conv2d" | "transposed_conv2d":
            _add_convolution(model, node, raw)
        case "max_pool" | "average_pool":
            model.add(
                "MaxPool" if node.op == "max_pool" else "AveragePool",
                [source],
                raw,
                kernel_shape=a["window"],
                strides=a["strides"],
                pads=_pads(model.shape(node.inputs[0]), a["window"], a),
            )
        case "mean":
            _add_mean(model, node, raw)
        case "resize_bilinear":
            # the two empty names stand for the region and the scales, which are not given
            mode = "half_pixel" if a["half_pixel"] else "align_corners" if a["align_corners"] else "asymmetric"
            sizes = _resized(model, source, name)
            model.add("Resize", [source, "", "", sizes], raw, mode="linear", coordinate_transformation_mode=mode)
        case "pad":
            pairs = _in_order(a["paddings"])
            pads = [before for before, _ in pairs] + [after for _, after in pairs]
            model.add("Pad", [source, model.constant(f"{name}/pads", np.array(pads))], raw)
        case "concat":
            axis = _axis(a["axis"], len(model.shape(name)))
            model.add("Concat", [model.value(value) for value in node.inputs], raw, axis=axis)
        case "reshape":
            _add_reshape(model, node, raw)
        case "depth_to_space":
            model.add("DepthToSpace", [source], raw, blocksize=a["block"], mode="DCR")
        case "softmax":
            rank = len(model.shape(name))
            model.add("Softmax", [source], raw, axis=_axis(rank - 1, rank))
        case "relu6":
            _add_relu6(model, source, raw)
        case _:
            operands = [_operand(model, value, len(model.shape(name))) for value in node.inputs]
            model.add(ELEMENTWISE[node.op], operands, raw)
    if activation == "relu":
        model.add("Relu", [raw], output)
    elif activation == "relu6":
        _add_relu6(model, raw, output)


def _add_convolution(model: _Model, node: Node, output: str) -> None:
    source, weights, *bias = node.inputs
    a, array = node.attributes, model.graph.constants[weights]
    kernel = array.shape[1:3]
    inputs = [model.constant(name, model.graph.constants[name]) for name in bias]
    if node.op == "transposed_conv2d":
        # same padding crops what a full transposed convolution makes too much, or fills up what it lacks
        excess = [k - s if a["padding"] == "same" else 0 for k, s in zip(kernel, a["strides"], strict=True)]
        before = [max(size, 0) // 2 for size in excess]
        weights = model.constant(f"{weights}/iohw", array.transpose(3, 0, 1, 2))
        model.add(
            "ConvTranspose",
            [model.value(source), weights, *inputs],
            output,
            kernel_shape=kernel,
            strides=a["strides"],
            pads=before + [max(size, 0) - first for size, first in zip(excess, before, strict=True)],
            output_padding=[max(-size, 0) for size in excess],
        )
        return
    depthwise = node.op == "depthwise_conv2d"
    order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
    weights = model.constant(f"{weights}/oihw", array.transpose(order))
    model.add(
        "Conv",
        [model.value(source), weights, *inputs],
        output,
        kernel_shape=kernel,
        strides=a["strides"],
        dilations=a["dilations"],
        group=model.shape(source)[3] if depthwise else 1,
        pads=_pads(model.shape(source), kernel, a),
    )


def _resized(model: _Model, source: str, name: str) -> str:
    """The four sizes that Resize wants; the batch and the channels are those of the source where the batch is open."""
    n, h, w, c = model.shape(name)
    if not model.dynamic_batch:
        return model.constant(f"{name}/sizes", np.array([n, c, h, w]))
    model.add("Shape", [source], f"{name}/kept", start=0, end=2)
    size = model.constant(f"{name}/size", np.array([h, w]))
    model.add("Concat", [f"{name}/kept", size], f"{name}/sizes", axis=0)
    return f"{name}/sizes"


def _add_mean(model: _Model, node: Node, output: str) -> None:
    name, a = node.inputs[0], node.attributes
    source, rank = model.value(name), len(model.shape(name))
    axes = tuple(_axis(axis, rank) for axis in a["axes"])
    if rank == 4 and not a["keep_dims"]:  # the dimensions that stay must stay in NHWC order
        source, axes = f"{node.output}/nhwc", a["axes"]
        model.add("Transpose", [model.value(name)], source, perm=NHWC_FROM_NCHW)
    model.add("ReduceMean", [source], output, axes=axes, keepdims=int(a["keep_dims"]))


def _add_reshape(model: _Model, node: Node, output: str) -> None:
    """Reshape in NHWC order; 0 keeps the batch, whatever it is."""
    name = node.inputs[0]
    source, shape = model.value(name), model.shape(node.output)
    if len(model.shape(name)) == 4:
        source = f"{node.output}/nhwc"
        model.add("Transpose", [model.value(name)], source, perm=NHWC_FROM_NCHW)
    wanted = model.constant(f"{node.output}/shape", np.array([0, *shape[1:]]))
    if len(shape) == 4:
        model.add("Reshape", [source, wanted], f"{node.output}/reshaped")
        model.add("Transpose", [f"{node.output}/reshaped"], output, perm=NCHW_FROM_NHWC)
    else:
        model.add("Reshape", [source, wanted], output)


def _add_relu6(model: _Model, source: str, output: str) -> None:
    low, high = model.constant("/zero", np.array(0.0)), model.constant("/six", np.array(6.0))
    model.add("Clip", [source, low, high], output)


def _operand(model: _Model, name: str, rank: int) -> str:
    """An operand of arithmetic whose result has `rank` dimensions."""
    constant = model.graph.constants.get(name)
    if constant is not None and rank != 4:
        return model.constant(name, constant)
    return model.value(name)


def _pads(shape: Shape, window: Sequence[int], a: Mapping[str, Any]) -> list[int]:
    """Padding of a window that slides over an NHWC value: top, left, bottom, right."""
    if a["padding"] == "valid":
        return [0, 0, 0, 0]
    dilations = a.get("dilations", (1, 1))
    (top, bottom), (left, right) = (
        same_padding(shape[1 + i], window[i], a["strides"][i], dilations[i]) for i in range(2)
    )
    return [top, left, bottom, right]


def _axis(axis: int, rank: int) -> int:
    return NCHW_AXIS[axis] if rank == 4 else axis


def _in_order(per_dimension: Sequence[Any]) -> list[Any]:
    """What belongs to each dimension, in the order that the value has inside the file."""
    return [per_dimension[i] for i in NCHW_FROM_NHWC] if len(per_dimension) == 4 else list(per_dimension)


# --- protobuf: a message is a list of byte strings, joined once at the end, so that weights are copied once -----------

Message = list[bytes | memoryview]


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; negative numbers as 64-bit two's complement."""
    number &= 2**64 - 1
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(int(value))


def _bytes(field: int, value: bytes | memoryview) -> Message:
    return [_varint(field << 3 | 2) + _varint(len(value)), value]


def _message(field: int, parts: Message) -> Message:
    return [_varint(field << 3 | 2) + _varint(sum(map(len, parts))), *parts]


def _attribute(name: str, value: Any) -> Message:
    head = _bytes(1, name.encode())
    if isinstance(value, str):
        return [*head, *_bytes(4, value.encode()), _integer(20, 3)]
    if isinstance(value, int):
        return [*head, _integer(3, value), _integer(20, 2)]
    return [*head, *(_integer(8, item) for item in value), _integer(20, 7)]

"""Graphs into torch modules: flat, readable, without a wrapper for every operator.

The module is a `torch.fx.GraphModule`: `print(module.code)` shows one line per operator. Weights are its buffers, so
`.to(device)`, `.half()` and the like move them. It takes and gives NHWC; inside, values of four dimensions are NCHW
in `channels_last` memory, which is the same bytes, so the turn at the door is free. Any batch works; height and width
are those of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.fx
import torch.nn.functional as F

from .graph import Graph, Node
from .operators import Attributes, Shape, same_padding

__all__ = ["to_torch"]

NCHW_FROM_NHWC, NHWC_FROM_NCHW = (0, 3, 1, 2), (0, 2, 3, 1)
NCHW_AXIS = (0, 2, 3, 1)  # where each NHWC dimension stands in NCHW

Pads = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": torch.add,
    "hard_swish": F.hardswish,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mul": torch.mul,
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "sub": torch.sub,
}


def to_torch(graph: Graph) -> torch.fx.GraphModule:
    """The graph as a module in evaluation mode: NHWC tensors in, a tuple of NHWC tensors out, in the graph's order.

    Weights are float32 buffers. The module computes in the type of its input and weights, so after `.half()` give it
    float16 (full precision differs from that by up to 0.24 px of 256 in BlazePose; bfloat16 by several pixels).
    """
    return _Translation(graph).module()


class _Translation:
    """The torch program while it grows: what stands for each value of the graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._makers = {node.output: node for node in graph.nodes}
        self._values: dict[str, Any] = {}
        self._program = torch.fx.Graph()
        self._root = torch.nn.Module()
        self._constants = 0

    def module(self) -> torch.fx.GraphModule:
        for i, name in enumerate(self.graph.inputs):
            placeholder = self._program.placeholder("x" if i == 0 else f"x{i}")
            self._values[name] = self._to_nchw(placeholder) if self._rank(name) == 4 else placeholder
        for node in self.graph.nodes:
            made = self._translate(node)
            activation = node.attributes.get("activation", "none")
            if activation != "none":
                made = self.call(ELEMENTWISE[activation], made, inplace=True)  # nobody else holds what was just made
            self._values[node.output] = made
        self._program.output(tuple(self._nhwc(name) for name in self.graph.outputs))
        self._program.eliminate_dead_code()  # paddings that went into the convolutions behind them
        self._program.lint()
        return torch.fx.GraphModule(self._root, self._program, class_name="Network").eval()

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._program.call_function(function, args, kwargs)

    def method(self, name: str, *args: Any) -> Any:
        return self._program.call_method(name, args)

    def buffer(self, array: npt.NDArray[Any], order: Sequence[int] | None = None) -> Any:
        """A constant of the program; `order` permutes its dimensions without moving them in memory."""
        tensor = torch.from_numpy(array.astype(np.float32, order="C"))
        name = f"constant_{self._constants}"
        self._constants += 1
        self._root.register_buffer(name, tensor.permute(*order) if order else tensor)
        return self._program.get_attr(name)

    def _rank(self, name: str) -> int:
        return len(self.graph.shapes[name])

    def _to_nchw(self, value: Any) -> Any:
        return self.method("permute", value, *NCHW_FROM_NHWC)

    def _nhwc(self, name: str) -> Any:
        """A value as the graph has it."""
        value = self._values[name]
        return self.method("permute", value, *NHWC_FROM_NCHW) if self._rank(name) == 4 else value

    def _operand(self, name: str, rank: int) -> Any:
        """A value, or a constant shaped so that it meets values of `rank` dimensions."""
        constant = self.graph.constants.get(name)
        if constant is None:
            return self._values[name]
        if rank != 4:
            return self.buffer(constant)
        return self.buffer(constant.reshape((1,) * (4 - constant.ndim) + constant.shape), NCHW_FROM_NHWC)

    def _translate(self, node: Node) -> Any:
        a, name = node.attributes, node.output
        rank, shape = self._rank(node.inputs[0]), self.graph.shapes[name]
        match node.op:
            case "conv2d" | "depthwise_conv2d":
                return self._convolution(node)
            case "transposed_conv2d":
                return self._transposed_convolution(node)
            case "max_pool" | "average_pool":
                return self._pool(node)
        operands = [self._operand(value, len(shape)) for value in node.inputs]
        match node.op:
            case "mean":
                return self._mean(operands[0], rank, a)
            case "resize_bilinear":
                return self._resize(operands[0], self.graph.shapes[node.inputs[0]], a)
            case "pad":
                return self._padded(operands[0], [a["paddings"][i] for i in _axes_inside(rank)])
            case "concat":
                return self.call(torch.cat, operands, dim=_axes_inside(rank).index(a["axis"]))
            case "reshape":
                made = self.method("reshape", self._nhwc(node.inputs[0]), -1, *shape[1:])
                return self._to_nchw(made) if len(shape) == 4 else made
            case "depth_to_space":
                return self._depth_to_space(node)
            case "softmax":
                return self.call(torch.softmax, operands[0], dim=1 if rank == 4 else rank - 1)
        return self.call(ELEMENTWISE[node.op], *operands)

    def _convolution(self, node: Node) -> Any:
        source, weights, *bias = node.inputs
        a, array = node.attributes, self.graph.constants[weights]
        depthwise = node.op == "depthwise_conv2d"
        source, pads = self._unpadded(source, array.shape[1:3], a)
        weight = self.buffer(array.transpose(3, 0, 1, 2)) if depthwise else self.buffer(array, NCHW_FROM_NHWC)
        value, padding = self._values[source], (pads[0][0], pads[1][0])
        if any(before != after for before, after in pads):  # torch itself pads only alike on both sides
            value, padding = self._padded(value, [(0, 0), (0, 0), *pads]), (0, 0)
        return self.call(
            F.conv2d,
            value,
            weight,
            self.buffer(self.graph.constants[bias[0]]) if bias else None,
            a["strides"],
            padding,
            a["dilations"],
            self.graph.shapes[source][3] if depthwise else 1,
        )

    def _unpadded(self, source: str, kernel: Sequence[int], a: Attributes) -> tuple[str, Pads]:
        """What a convolution can read instead of `source` with a wider padding of its own, and that padding."""
        pads = _pads(self.graph.shapes[source], kernel, a)
        maker = self._makers.get(source)
        if maker is None or maker.op != "pad" or pads != ((0, 0), (0, 0)):
            return source, pads
        batch, height, width, channels = maker.attributes["paddings"]
        if batch != (0, 0) or channels != (0, 0):
            return source, pads
        return maker.inputs[0], (height, width)

    def _padded(self, value: Any, paddings: Sequence[tuple[int, int]], fill: float = 0.0) -> Any:
        flat = [size for pair in reversed(paddings) for size in pair]  # torch begins with the last dimension
        return self.call(F.pad, value, flat, value=fill)

    def _transposed_convolution(self, node: Node) -> Any:
        source, weights, *bias = node.inputs
        a, array = node.attributes, self.graph.constants[weights]
        excess = [k - s if a["padding"] == "same" else 0 for k, s in zip(array.shape[1:3], a["strides"], strict=True)]
        made = self.call(
            F.conv_transpose2d,
            self._values[source],
            self.buffer(array, (3, 0, 1, 2)),
            self.buffer(self.graph.constants[bias[0]]) if bias else None,
            a["strides"],
            0,
            tuple(max(-size, 0) for size in excess),
        )
        for axis, size in enumerate(excess):  # same padding crops what a full transposed convolution makes too much
            if size > 0:
                made = self.call(torch.narrow, made, 2 + axis, size // 2, self.graph.shapes[node.output][1 + axis])
        return made

    def _pool(self, node: Node) -> Any:
        a, name = node.attributes, node.inputs[0]
        function, fill = (F.max_pool2d, -math.inf) if node.op == "max_pool" else (F.avg_pool2d, 0.0)
        pads = _pads(self.graph.shapes[name], a["window"], a)
        if pads == ((0, 0), (0, 0)):
            return self.call(function, self._values[name], a["window"], a["strides"])
        padded = self._padded(self._values[name], [(0, 0), (0, 0), *pads], fill)
        made = self.call(function, padded, a["window"], a["strides"])
        if node.op == "max_pool":
            return made
        # padded pixels do not count: the mean over the whole window is divided by the share that lies inside
        inside = F.pad(torch.ones(1, 1, *self.graph.shapes[name][1:3]), [*pads[1], *pads[0]])
        share = F.avg_pool2d(inside, a["window"], a["strides"])
        return self.call(torch.div, made, self.buffer(share.numpy()))

    def _mean(self, value: Any, rank: int, a: Attributes) -> Any:
        if rank == 4 and not a["keep_dims"]:  # the dimensions that stay must stay in NHWC order
            return self.call(torch.mean, self.method("permute", value, *NHWC_FROM_NCHW), dim=a["axes"])
        axes = tuple(_axes_inside(rank).index(axis) for axis in a["axes"])
        return self.call(torch.mean, value, dim=axes, keepdim=a["keep_dims"])

    def _resize(self, value: Any, shape: Shape, a: Attributes) -> Any:
        if a["half_pixel"] or a["align_corners"]:
            return self.call(F.interpolate, value, a["size"], mode="bilinear", align_corners=a["align_corners"])
        rows, columns = (_corner_weights(shape[1 + i], a["size"][i]) for i in range(2))
        tall = self.call(torch.matmul, self.buffer(rows), value)
        return self.call(torch.matmul, tall, self.buffer(columns, (1, 0)))

    def _depth_to_space(self, node: Node) -> Any:
        block = node.attributes["block"]
        _, h, w, _ = self.graph.shapes[node.inputs[0]]
        _, height, width, channels = self.graph.shapes[node.output]
        split = self.method("reshape", self._nhwc(node.inputs[0]), -1, h, w, block, block, channels)
        woven = self.method("permute", split, 0, 1, 3, 2, 4, 5)
        return self._to_nchw(self.method("reshape", woven, -1, height, width, channels))


def _pads(shape: Shape, window: Sequence[int], a: Attributes) -> Pads:
    """Padding of a window that slides over an NHWC value."""
    if a["padding"] == "valid":
        return (0, 0), (0, 0)
    dilations = a.get("dilations", (1, 1))
    height, width = (same_padding(shape[1 + i], window[i], a["strides"][i], dilations[i]) for i in range(2))
    return height, width


def _axes_inside(rank: int) -> Sequence[int]:
    """The graph's dimensions in the order that they have inside the module."""
    return NCHW_FROM_NHWC if rank == 4 else tuple(range(rank))


def _corner_weights(size: int, wanted: int) -> npt.NDArray[np.float32]:
    """(wanted, size): bilinear weights of TensorFlow's oldest resize, which samples at i * size / wanted."""
    at = np.arange(wanted) * (size / wanted)
    low = np.floor(at).astype(int)
    weights = np.zeros((wanted, size), np.float32)
    np.add.at(weights, (np.arange(wanted), low), 1 - (at - low))
    np.add.at(weights, (np.arange(wanted), np.minimum(low + 1, size - 1)), at - low)
    return weights

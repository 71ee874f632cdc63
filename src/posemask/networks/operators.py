"""The operators that a graph may hold: their attributes, the layout of their weights, the shape they give.

Conventions
    x is a feature map (N, H, W, C); `strides`, `dilations`, `window` and `size` are (height, width).
    `padding` is "same" or "valid" as in TensorFlow: same gives ceil(size / stride) and puts the odd pixel after.
    `activation` is fused behind the operator: "none", "relu" or "relu6".

    operator            inputs                                  attributes
    conv2d              x, weights (O, KH, KW, I), [bias (O,)]  strides, dilations, padding, activation
    depthwise_conv2d    x, weights (1, KH, KW, C*M), [bias]     strides, dilations, padding, activation
                        (output channel c*M + m comes from input channel c)
    transposed_conv2d   x, weights (O, KH, KW, I), [bias (O,)]  strides, padding, activation
                        (the gradient of conv2d: same gives size * stride, valid gives (size - 1) * stride + kernel)
    add, sub, mul,      a, b: feature maps or constants,        activation
    maximum, minimum    broadcast as numpy does
    relu, relu6, hard_swish, sigmoid                            -
                        (hard_swish(x) = x * relu6(x + 3) / 6)
    softmax             x; over the last dimension              -
    max_pool            x                                       window, strides, padding, activation
    average_pool        x; padded pixels do not count           window, strides, padding, activation
    mean                x                                       axes, keep_dims
    resize_bilinear     x                                       size, half_pixel, align_corners
    pad                 x; with zeros                           paddings: (before, after) for each dimension
    concat              two or more values                      axis, activation
    reshape             x                                       shape without the batch; one size may be -1
    depth_to_space      x; TensorFlow's order ("DCR" in ONNX)   block
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelFileError

__all__ = ["ACTIVATIONS", "OPERATORS", "Attributes", "Operator", "Shape", "same_padding"]

Shape = tuple[int, ...]
Attributes = Mapping[str, Any]
Inference = Callable[[Sequence[Shape], Attributes], Shape]

ACTIVATIONS = ("none", "relu", "relu6")
PADDINGS = ("same", "valid")
LARGEST_SIZE = 2**20  # of a stride, window, padding …: beyond any network, and small enough that products stay exact
REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Operator:
    """How many inputs an operator takes, which of them are weights, its attributes with defaults, its output shape."""

    inputs: range
    defaults: Attributes
    infer: Inference
    weights_from: int = 10**6

    def complete(self, attributes: Attributes) -> dict[str, Any]:
        """The attributes with defaults filled in, checked for names and types."""
        unknown = attributes.keys() - self.defaults.keys()
        if unknown:
            raise ModelFileError(f"unknown attribute {min(unknown)!r}")
        completed = {**self.defaults, **attributes}
        missing = [name for name, value in completed.items() if value is REQUIRED]
        if missing:
            raise ModelFileError(f"attribute {missing[0]!r} is missing")
        return {name: CHECKS[name](name, value) for name, value in completed.items()}

    def output_shape(self, shapes: Sequence[Shape], constant: Sequence[bool], attributes: Attributes) -> Shape:
        """Shape of the output; `constant` says for each input whether it is a constant."""
        if len(shapes) not in self.inputs:
            raise ModelFileError(f"expected {self.inputs.start} to {self.inputs.stop - 1} inputs, got {len(shapes)}")
        if not all(constant[self.weights_from :]):
            raise ModelFileError("weights and bias must be constants")
        if all(constant):
            raise ModelFileError("at least one input must not be a constant")
        ranks = {len(shape) for shape, fixed in zip(shapes, constant, strict=True) if not fixed}
        if len(ranks) != 1 or max(map(len, shapes)) > max(ranks):
            raise ModelFileError(f"shapes {tuple(shapes)} do not have the same number of dimensions")
        shape = self.infer(shapes, attributes)
        batch = shapes[constant.index(False)][0]
        if shape[0] != batch:
            raise ModelFileError(f"a batch of {batch} becomes {shape[0]}; operators must leave the batch alone")
        return shape


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """How many zeros TensorFlow's "same" puts before and after a dimension of `size` pixels."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


# --- attributes ----------------------------------------------------------------------------------------------------


def _size(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= LARGEST_SIZE:
        raise ModelFileError(f"attribute {name!r} must be an integer from {least} to {LARGEST_SIZE}, got {value!r}")
    return int(value)


def _sizes(name: str, value: Any, least: int = 1) -> tuple[int, ...]:
    if not isinstance(value, (tuple, list)):
        raise ModelFileError(f"attribute {name!r} must be a tuple of integers, got {value!r}")
    return tuple(_size(name, item, least) for item in value)


def _pair(name: str, value: Any) -> tuple[int, int]:
    sizes = _sizes(name, value)
    if len(sizes) != 2:
        raise ModelFileError(f"attribute {name!r} must be (height, width), got {value!r}")
    return sizes[0], sizes[1]


def _pairs(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    pairs = tuple(_sizes(name, item, 0) for item in value) if isinstance(value, (tuple, list)) else ()
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ModelFileError(f"attribute {name!r} must hold (before, after) for each dimension, got {value!r}")
    return pairs


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ModelFileError(f"attribute {name!r} must be true or false, got {value!r}")
    return bool(value)


def _one_of(*choices: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise ModelFileError(f"attribute {name!r} must be one of {', '.join(choices)}, got {value!r}")
        return str(value)

    return check


CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "activation": _one_of(*ACTIVATIONS),
    "align_corners": _flag,
    "axes": lambda name, value: _sizes(name, value, 1),
    "axis": _size,
    "block": _size,
    "dilations": _pair,
    "half_pixel": _flag,
    "keep_dims": _flag,
    "padding": _one_of(*PADDINGS),
    "paddings": _pairs,
    "shape": lambda name, value: _sizes(name, value, -1),
    "size": _pair,
    "strides": _pair,
    "window": _pair,
}


# --- shapes --------------------------------------------------------------------------------------------------------


def _image(shape: Shape) -> Shape:
    if len(shape) != 4:
        raise ModelFileError(f"expected a feature map (batch, height, width, channels), got shape {shape}")
    return shape


def _slide(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """How often a window fits into `size` pixels."""
    if padding == "same":
        return -(-size // stride)
    reach = (kernel - 1) * dilation + 1
    if reach > size:
        raise ModelFileError(f"a window of {reach} pixels does not fit into {size}")
    return (size - reach) // stride + 1


def _convolution(depthwise: bool) -> Inference:
    def infer(shapes: Sequence[Shape], a: Attributes) -> Shape:
        n, h, w, c = _image(shapes[0])
        channels, kernel_h, kernel_w, depth = _image(shapes[1])
        if depthwise:
            channels, expected = depth, shapes[1][0] == 1 and depth % c == 0
        else:
            expected = depth == c
        if not expected or any(bias != (channels,) for bias in shapes[2:]):
            raise ModelFileError(f"weights {shapes[1]} and bias {shapes[2:]} do not fit an input of shape {shapes[0]}")
        (stride_h, stride_w), (dilation_h, dilation_w) = a["strides"], a["dilations"]
        return (
            n,
            _slide(h, kernel_h, stride_h, dilation_h, a["padding"]),
            _slide(w, kernel_w, stride_w, dilation_w, a["padding"]),
            channels,
        )

    return infer


def _transposed_convolution(shapes: Sequence[Shape], a: Attributes) -> Shape:
    n, h, w, c = _image(shapes[0])
    channels, kernel_h, kernel_w, depth = _image(shapes[1])
    if depth != c or any(bias != (channels,) for bias in shapes[2:]):
        raise ModelFileError(f"weights {shapes[1]} and bias {shapes[2:]} do not fit an input of shape {shapes[0]}")
    stride_h, stride_w = a["strides"]
    if a["padding"] == "same":
        return n, h * stride_h, w * stride_w, channels
    return n, (h - 1) * stride_h + kernel_h, (w - 1) * stride_w + kernel_w, channels


def _broadcast(shapes: Sequence[Shape], a: Attributes) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ModelFileError(f"shapes {shapes[0]} and {shapes[1]} do not fit together") from None


def _same_shape(shapes: Sequence[Shape], a: Attributes) -> Shape:
    return shapes[0]


def _pool(shapes: Sequence[Shape], a: Attributes) -> Shape:
    n, h, w, c = _image(shapes[0])
    (window_h, window_w), (stride_h, stride_w) = a["window"], a["strides"]
    return n, _slide(h, window_h, stride_h, 1, a["padding"]), _slide(w, window_w, stride_w, 1, a["padding"]), c


def _mean(shapes: Sequence[Shape], a: Attributes) -> Shape:
    shape, axes = shapes[0], a["axes"]
    if not axes or len(set(axes)) != len(axes) or max(axes) >= len(shape):
        raise ModelFileError(f"cannot take the mean over the dimensions {axes} of shape {shape}")
    if a["keep_dims"]:
        return tuple(1 if i in axes else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)


def _resize(shapes: Sequence[Shape], a: Attributes) -> Shape:
    n, _, _, c = _image(shapes[0])
    if a["half_pixel"] and a["align_corners"]:
        raise ModelFileError("half_pixel and align_corners exclude each other")
    return n, *a["size"], c


def _pad(shapes: Sequence[Shape], a: Attributes) -> Shape:
    paddings = a["paddings"]
    if len(paddings) != len(shapes[0]) or paddings[0] != (0, 0):
        raise ModelFileError(f"paddings {paddings} do not fit shape {shapes[0]} (the batch cannot be padded)")
    return tuple(size + before + after for size, (before, after) in zip(shapes[0], paddings, strict=True))


def _concat(shapes: Sequence[Shape], a: Attributes) -> Shape:
    axis = a["axis"]
    if axis >= len(shapes[0]) or len({(*shape[:axis], 0, *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise ModelFileError(f"shapes {tuple(shapes)} cannot be joined along dimension {axis}")
    return *shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]


def _reshape(shapes: Sequence[Shape], a: Attributes) -> Shape:
    n, wanted = shapes[0][0], a["shape"]
    present, given = math.prod(shapes[0][1:]), math.prod(size for size in wanted if size != -1)
    free = wanted.count(-1)
    if len(wanted) > 3 or free > 1 or given < 1 or (present % given if free else present != given):
        raise ModelFileError(f"shape {shapes[0]} cannot become {wanted} (batch aside)")
    return n, *(present // given if size == -1 else size for size in wanted)


def _depth_to_space(shapes: Sequence[Shape], a: Attributes) -> Shape:
    n, h, w, c = _image(shapes[0])
    block = a["block"]
    if c % (block * block):
        raise ModelFileError(f"{c} channels cannot be spread over blocks of {block} x {block} pixels")
    return n, h * block, w * block, c // (block * block)


_CONVOLUTION = {"strides": (1, 1), "dilations": (1, 1), "padding": REQUIRED, "activation": "none"}
_POOL = {"window": REQUIRED, "strides": REQUIRED, "padding": REQUIRED, "activation": "none"}
_ONE, _TWO, _ANY = range(1, 2), range(2, 3), range(1, 1025)
_ARITHMETIC = Operator(_TWO, {"activation": "none"}, _broadcast)
_ELEMENTWISE = Operator(_ONE, {}, _same_shape)

OPERATORS: Mapping[str, Operator] = {
    "add": _ARITHMETIC,
    "average_pool": Operator(_ONE, _POOL, _pool),
    "concat": Operator(_ANY, {"axis": REQUIRED, "activation": "none"}, _concat),
    "conv2d": Operator(range(2, 4), _CONVOLUTION, _convolution(depthwise=False), weights_from=1),
    "depth_to_space": Operator(_ONE, {"block": REQUIRED}, _depth_to_space),
    "depthwise_conv2d": Operator(range(2, 4), _CONVOLUTION, _convolution(depthwise=True), weights_from=1),
    "hard_swish": _ELEMENTWISE,
    "max_pool": Operator(_ONE, _POOL, _pool),
    "maximum": _ARITHMETIC,
    "mean": Operator(_ONE, {"axes": REQUIRED, "keep_dims": True}, _mean),
    "minimum": _ARITHMETIC,
    "mul": _ARITHMETIC,
    "pad": Operator(_ONE, {"paddings": REQUIRED}, _pad),
    "relu": _ELEMENTWISE,
    "relu6": _ELEMENTWISE,
    "reshape": Operator(_ONE, {"shape": REQUIRED}, _reshape),
    "resize_bilinear": Operator(_ONE, {"size": REQUIRED, "half_pixel": False, "align_corners": False}, _resize),
    "sigmoid": _ELEMENTWISE,
    "softmax": _ELEMENTWISE,
    "sub": _ARITHMETIC,
    "transposed_conv2d": Operator(
        range(2, 4),
        {"strides": (1, 1), "padding": REQUIRED, "activation": "none"},
        _transposed_convolution,
        weights_from=1,
    ),
}

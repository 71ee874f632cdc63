"""The few numbers of the TFLite schema that reading and writing need.

Source: tensorflow/compiler/mlir/lite/schema/schema.fbs of TensorFlow (the file format, version 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "IDENTIFIER",
    "NAMES",
    "OPTIONS",
    "TRANSPOSED_CONVOLUTION_WITH_BIAS",
    "Activation",
    "Builtin",
    "Options",
    "Type",
]

IDENTIFIER = b"TFL3"
TRANSPOSED_CONVOLUTION_WITH_BIAS = "Convolution2DTransposeBias"  # MediaPipe's custom operator


class Type(IntEnum):
    """What a tensor holds."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2


class Builtin(IntEnum):
    """Operators of the schema."""

    ADD = 0
    AVERAGE_POOL_2D = 1
    CONCATENATION = 2
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    DEPTH_TO_SPACE = 5
    DEQUANTIZE = 6
    LOGISTIC = 14
    MAX_POOL_2D = 17
    MUL = 18
    RELU = 19
    RELU6 = 21
    RESHAPE = 22
    RESIZE_BILINEAR = 23
    SOFTMAX = 25
    CUSTOM = 32
    PAD = 34
    MEAN = 40
    SUB = 41
    MAXIMUM = 55
    MINIMUM = 57
    TRANSPOSE_CONV = 67
    HARD_SWISH = 117
    DENSIFY = 124


class Activation(IntEnum):
    """Activations fused behind an operator; the names are those of `operators.ACTIVATIONS`."""

    NONE = 0
    RELU = 1
    RELU6 = 3


@dataclass(frozen=True, slots=True)
class Options:
    """The table of options that goes with an operator: its number in the union, and the fields' numbers in it."""

    kind: int
    activation: int | None = None
    padding: int | None = None
    strides_hw: tuple[int, int] | None = None
    dilations_hw: tuple[int, int] | None = None
    window_hw: tuple[int, int] | None = None


_POOL = Options(5, padding=0, strides_hw=(2, 1), window_hw=(4, 3), activation=5)
OPTIONS = {
    Builtin.ADD: Options(11, activation=0),
    Builtin.AVERAGE_POOL_2D: _POOL,
    Builtin.CONCATENATION: Options(10, activation=1),  # field 0: axis
    Builtin.CONV_2D: Options(1, padding=0, strides_hw=(2, 1), activation=3, dilations_hw=(5, 4)),
    Builtin.DEPTHWISE_CONV_2D: Options(2, padding=0, strides_hw=(2, 1), activation=4, dilations_hw=(6, 5)),
    Builtin.DEPTH_TO_SPACE: Options(94),  # field 0: block size
    Builtin.MAX_POOL_2D: _POOL,
    Builtin.MEAN: Options(27),  # field 0: keep dimensions
    Builtin.MUL: Options(21, activation=0),
    Builtin.RESHAPE: Options(17),
    Builtin.RESIZE_BILINEAR: Options(15),  # field 2: align corners, 3: half pixel centres
    Builtin.SOFTMAX: Options(9),  # field 0: beta
    Builtin.SUB: Options(28, activation=0),
    Builtin.TRANSPOSE_CONV: Options(49, padding=0, strides_hw=(2, 1), activation=3),
}

NAMES = {
    Builtin.ADD: "add",
    Builtin.AVERAGE_POOL_2D: "average_pool",
    Builtin.CONCATENATION: "concat",
    Builtin.CONV_2D: "conv2d",
    Builtin.DEPTHWISE_CONV_2D: "depthwise_conv2d",
    Builtin.DEPTH_TO_SPACE: "depth_to_space",
    Builtin.HARD_SWISH: "hard_swish",
    Builtin.LOGISTIC: "sigmoid",
    Builtin.MAXIMUM: "maximum",
    Builtin.MAX_POOL_2D: "max_pool",
    Builtin.MEAN: "mean",
    Builtin.MINIMUM: "minimum",
    Builtin.MUL: "mul",
    Builtin.PAD: "pad",
    Builtin.RELU: "relu",
    Builtin.RELU6: "relu6",
    Builtin.RESHAPE: "reshape",
    Builtin.RESIZE_BILINEAR: "resize_bilinear",
    Builtin.SOFTMAX: "softmax",
    Builtin.SUB: "sub",
    Builtin.TRANSPOSE_CONV: "transposed_conv2d",
}
"""What a graph calls the operators of the schema."""

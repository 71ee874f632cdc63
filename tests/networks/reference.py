"""A slow, plain interpreter of graphs in numpy and float64: what the operators mean, to test everything by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from posemask.networks.graph import Graph, Node

Array = np.ndarray[Any, np.dtype[np.float64]]


def run(graph: Graph, *inputs: Any) -> tuple[Array, ...]:
    values = {name: np.asarray(value, np.float64) for name, value in graph.constants.items()}
    values |= {name: np.asarray(x, np.float64) for name, x in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        made = _apply(node, [values[name] for name in node.inputs])
        activation = node.attributes.get("activation", "none")
        if activation != "none":
            made = np.clip(made, 0, 6 if activation == "relu6" else np.inf)
        assert made.shape == graph.shapes[node.output], (node, made.shape)
        values[node.output] = made
    return tuple(values[name] for name in graph.outputs)


def _apply(node: Node, operands: list[Array]) -> Array:
    x, a = operands[0], node.attributes
    match node.op:
        case "add" | "sub" | "mul":
            return {"add": np.add, "sub": np.subtract, "mul": np.multiply}[node.op](*operands)
        case "maximum" | "minimum":
            return {"maximum": np.maximum, "minimum": np.minimum}[node.op](*operands)
        case "relu" | "relu6":
            return np.clip(x, 0, 6 if node.op == "relu6" else np.inf)
        case "hard_swish":
            return x * np.clip(x + 3, 0, 6) / 6
        case "sigmoid":
            return 1 / (1 + np.exp(-x))
        case "softmax":
            e = np.exp(x - x.max(-1, keepdims=True))
            return e / e.sum(-1, keepdims=True)
        case "mean":
            return x.mean(a["axes"], keepdims=a["keep_dims"])
        case "pad":
            return np.pad(x, a["paddings"])
        case "concat":
            return np.concatenate(operands, a["axis"])
        case "reshape":
            return x.reshape(len(x), *a["shape"])
        case "depth_to_space":
            n, h, w, c = x.shape
            b = a["block"]
            spread = x.reshape(n, h, w, b, b, c // b**2).transpose(0, 1, 3, 2, 4, 5)
            return spread.reshape(n, h * b, w * b, c // b**2)
        case "conv2d":
            return _with_bias(_slide(x, operands[1].shape[1:3], a, 0.0, _dot(operands[1])), operands)
        case "depthwise_conv2d":
            return _with_bias(_slide(x, operands[1].shape[1:3], a, 0.0, _depthwise(operands[1])), operands)
        case "max_pool":
            return _slide(x, a["window"], a, -np.inf, lambda patch: patch.max((1, 2)))
        case "average_pool":
            return _slide(x, a["window"], a, np.nan, lambda patch: np.nanmean(patch, (1, 2)))
        case "transposed_conv2d":
            return _with_bias(_transposed(x, operands[1], a), operands)
        case "resize_bilinear":
            for axis in (1, 2):
                x = _stretched(x, axis, a["size"][axis - 1], a["half_pixel"], a["align_corners"])
            return x
    raise AssertionError(node.op)


def _with_bias(made: Array, operands: list[Array]) -> Array:
    return made + operands[2] if len(operands) > 2 else made


def _dot(weights: Array) -> Callable[[Array], Array]:
    return lambda patch: np.einsum("nhwi,ohwi->no", patch, weights)


def _depthwise(weights: Array) -> Callable[[Array], Array]:
    def apply(patch: Array) -> Array:
        many = weights.shape[3] // patch.shape[3]
        return np.einsum("nhwc,hwc->nc", np.repeat(patch, many, 3), weights[0])

    return apply


def _slide(x: Array, kernel: Any, a: Any, fill: float, function: Callable[[Array], Array]) -> Array:
    """TensorFlow's sliding window: same padding puts the odd pixel after."""
    before, sizes, dilations = [], [], a.get("dilations", (1, 1))
    padded = [(0, 0)]
    for size, k, s, d in zip(x.shape[1:3], kernel, a["strides"], dilations, strict=True):
        reach = (k - 1) * d + 1
        out = -(-size // s) if a["padding"] == "same" else (size - reach) // s + 1
        total = max((out - 1) * s + reach - size, 0) if a["padding"] == "same" else 0
        before.append(total // 2)
        padded.append((total // 2, total - total // 2))
        sizes.append(out)
    x = np.pad(x, [*padded, (0, 0)], constant_values=fill)
    rows = []
    for i in range(sizes[0]):
        top, row = i * a["strides"][0], []
        for j in range(sizes[1]):
            left = j * a["strides"][1]
            bottom, right = top + (kernel[0] - 1) * dilations[0] + 1, left + (kernel[1] - 1) * dilations[1] + 1
            row.append(function(x[:, top : bottom : dilations[0], left : right : dilations[1]]))
        rows.append(np.stack(row, 1))
    return np.stack(rows, 1)


def _transposed(x: Array, weights: Array, a: Any) -> Array:
    (n, h, w, _), (o, kh, kw, _), (sh, sw) = x.shape, weights.shape, a["strides"]
    full = np.zeros((n, (h - 1) * sh + max(kh, sh), (w - 1) * sw + max(kw, sw), o))
    for i in range(h):
        for j in range(w):
            full[:, i * sh : i * sh + kh, j * sw : j * sw + kw] += np.einsum("ni,ohwi->nhwo", x[:, i, j], weights)
    if a["padding"] == "valid":
        return full[:, : (h - 1) * sh + kh, : (w - 1) * sw + kw]
    top, left = max(kh - sh, 0) // 2, max(kw - sw, 0) // 2
    return full[:, top : top + h * sh, left : left + w * sw]


def _stretched(x: Array, axis: int, size: int, half_pixel: bool, align_corners: bool) -> Array:
    present = x.shape[axis]
    at = np.arange(size, dtype=float)
    if align_corners:
        at *= (present - 1) / (size - 1) if size > 1 else 0
    elif half_pixel:
        at = np.clip((at + 0.5) * present / size - 0.5, 0, present - 1)
    else:
        at *= present / size
    low = np.floor(at).astype(int)
    share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
    high = np.minimum(low + 1, present - 1)
    return np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share

"""The steps of a plan, run with torch's own operators: what the kernels must equal, on any device and in any precision.

Values are NHWC tensors. In half precision the convolutions accumulate as torch's do; use float32 as the yardstick.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nn

from .plan import Block, Dense, Plain, Plan, Pointwise, Refine, Squeeze, Stem, Step, Tower, Upsample

__all__ = ["placed", "run", "run_step"]

Values = Mapping[str, torch.Tensor]

_ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda x: x,
    "relu": torch.relu,
    "relu6": nn.relu6,
    "hard_swish": nn.hardswish,
    "sigmoid": torch.sigmoid,
}


def run(plan: Plan, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The network's outputs, in order, for image (N, H, W, 3)."""
    values = {plan.input: image}
    for step in plan.steps:
        values[step.output] = run_step(step, values, plan.shapes)
    return tuple(values[name] for name in plan.outputs)


def run_step(step: Step, values: Values, shapes: Mapping[str, tuple[int, ...]]) -> torch.Tensor:
    """What one step makes of the values before it."""
    if isinstance(step, Plain):
        return _plain(step, values, shapes)
    x = values[step.input]
    match step:
        case Block():
            return _block(step, x, shapes)
        case Stem():
            return _stem(step, x, shapes[step.output])
        case Pointwise():
            if step.gate:
                x = x * values[step.gate].reshape(x.shape[0], 1, 1, -1)
            y = _dense(step.dense, x.flatten(1)[:, None, None] if step.flatten else x)
            return _ACTIVATIONS[step.activation](y + values[step.residual] if step.residual else y)
        case Squeeze():
            mean = x.mean((1, 2), keepdim=True)
            if step.low:
                mean = mean + values[step.low].mean((1, 2), keepdim=True)
            y = _dense(step.first, mean)
            return _dense(step.second, y) if step.second else y
        case Tower():
            return _tower(step, x, shapes)
        case Refine():
            return _refine(step, x, values[step.skip] if step.skip else None, shapes[step.output])
        case Upsample():
            height, width = shapes[step.output][:2]
            y = nn.interpolate(x.permute(0, 3, 1, 2), (height, width), mode="bilinear").permute(0, 2, 3, 1)
            y = _ACTIVATIONS[step.activation](y)
            if not step.skip:
                return y
            skip = values[step.skip]
            return y + (skip * values[step.gate].reshape(x.shape[0], 1, 1, -1) if step.gate else skip)


def _refine(step: Refine, x: torch.Tensor, skip: torch.Tensor | None, shape: tuple[int, ...]) -> torch.Tensor:
    y = nn.interpolate(x.permute(0, 3, 1, 2), shape[:2], mode="bilinear").permute(0, 2, 3, 1)
    y = y if skip is None else y + skip
    for block in step.blocks:
        y = _block(block, y, {block.output: shape})
    if step.last:
        weights, bias = step.last
        y = nn.conv2d(y.permute(0, 3, 1, 2), constant(weights, x).permute(2, 0, 1)[None], constant(bias, x), padding=1)
        y = y.permute(0, 2, 3, 1)
    return y


def _tower(step: Tower, x: torch.Tensor, shapes: Mapping[str, tuple[int, ...]]) -> torch.Tensor:
    for layer in step.layers:
        y = _block(layer, x, shapes)
        if layer.depthwise.stride == 2:
            y = nn.relu6(y + nn.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1))
        x = y
    return x


def constant(array: Any, like: torch.Tensor) -> torch.Tensor:
    """A weight as a tensor of another tensor's type, on its device; as it is if it is one."""
    return array if isinstance(array, torch.Tensor) else torch.tensor(array, dtype=like.dtype, device=like.device)


def placed(part: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Any:
    """A plan, or a part of one, with tensors on a device for arrays: what a graph can be captured of."""
    if isinstance(part, np.ndarray):
        return torch.tensor(part, dtype=dtype, device=device)
    if isinstance(part, tuple):
        return tuple(placed(item, device, dtype) for item in part)
    if isinstance(part, Plain):
        return dataclasses.replace(part, constants={n: placed(a, device, dtype) for n, a in part.constants.items()})
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return dataclasses.replace(
            part, **{f.name: placed(getattr(part, f.name), device, dtype) for f in dataclasses.fields(part)}
        )
    return part


def _dense(dense: Dense, x: torch.Tensor) -> torch.Tensor:
    y = nn.linear(x, constant(dense.weights, x).T, constant(dense.bias, x))
    return _ACTIVATIONS[dense.activation](y)


def _stem(stem: Stem, x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    weights = constant(stem.weights, x).permute(3, 2, 0, 1)
    x = _padded(x[..., : weights.shape[1]].permute(0, 3, 1, 2), 3, 2, stem.before, shape)
    return _ACTIVATIONS[stem.activation](nn.conv2d(x, weights, constant(stem.bias, x), stride=2).permute(0, 2, 3, 1))


def _padded(x: torch.Tensor, kernel: int, stride: int, before: tuple[int, int], shape: tuple[int, ...]) -> torch.Tensor:
    """NCHW x with the zeros that a convolution to a map of `shape` reads around it."""
    after = [(size - 1) * stride + kernel - n - b for size, n, b in zip(shape[:2], x.shape[2:], before, strict=True)]
    return nn.pad(x, (before[1], after[1], before[0], after[0]))


def _block(step: Block, x: torch.Tensor, shapes: Mapping[str, tuple[int, ...]]) -> torch.Tensor:
    depthwise, expanded = step.depthwise, x
    if step.expand:
        expanded = _dense(step.expand, x)
    elif step.stem:
        height, width = x.shape[1:3]
        expanded = _stem(step.stem, x, (-(-height // 2), -(-width // 2)))
    height, width = shapes[step.output][:2]
    shape = (height // 2, width // 2) if step.shuffle else (height, width)
    kernel = depthwise.weights.shape[0]
    padded = _padded(expanded.permute(0, 3, 1, 2), kernel, depthwise.stride, depthwise.before, shape)
    weights = constant(depthwise.weights, x).permute(2, 0, 1)[:, None]
    y = nn.conv2d(padded, weights, constant(depthwise.bias, x), depthwise.stride, groups=weights.shape[0]).permute(
        0, 2, 3, 1
    )
    y = _ACTIVATIONS[depthwise.activation](y)
    if step.residual == "expanded":
        y = y + expanded
    if step.gate:
        first, second = step.gate
        y = y * _dense(second, _dense(first, y.mean((1, 2), keepdim=True)))
    if step.project:
        y = _dense(step.project, y)
    if step.shuffle:
        n, h, w, _ = y.shape
        y = y.reshape(n, h, w, 2, 2).permute(0, 1, 3, 2, 4).reshape(n, 2 * h, 2 * w, 1)
    if step.residual == "input":
        y = y + x
    return _ACTIVATIONS[step.activation](y)


def _plain(step: Plain, values: Values, shapes: Mapping[str, tuple[int, ...]]) -> torch.Tensor:
    like = next(values[name] for name in step.inputs if name not in step.constants)
    inputs = [values[name] if name in values else constant(step.constants[name], like) for name in step.inputs]
    x, a = inputs[0], step.attributes
    match step.op:
        case "add":
            y = x + inputs[1]
        case "sub":
            y = x - inputs[1]
        case "mul":
            y = x * inputs[1]
        case "maximum":
            y = torch.maximum(x, inputs[1])
        case "minimum":
            y = torch.minimum(x, inputs[1])
        case "relu" | "relu6" | "hard_swish" | "sigmoid":
            y = _ACTIVATIONS[step.op](x)
        case "softmax":
            y = x.softmax(-1)
        case "reshape":
            y = x.reshape(x.shape[0], *shapes[step.output])
        case "concat":
            y = torch.cat(inputs, a["axis"])
        case "mean":
            y = x.mean(a["axes"], keepdim=a["keep_dims"])
        case "pad":
            y = nn.pad(x, [n for pair in reversed(a["paddings"]) for n in pair])
        case "depth_to_space":
            n, h, w, c = x.shape
            b = a["block"]
            y = x.reshape(n, h, w, b, b, c // (b * b)).permute(0, 1, 3, 2, 4, 5).reshape(n, h * b, w * b, c // (b * b))
        case _:
            y = _spatial(step, inputs, shapes[step.output])
    return _ACTIVATIONS[a["activation"]](y)


def _spatial(step: Plain, inputs: list[torch.Tensor], shape: tuple[int, ...]) -> torch.Tensor:
    x, a = inputs[0].permute(0, 3, 1, 2), step.attributes
    if step.op == "resize_bilinear":
        y = nn.interpolate(x, a["size"], mode="bilinear", align_corners=a["align_corners"])
        if not a["half_pixel"] and not a["align_corners"]:
            raise NotImplementedError("enlargement with neither half-pixel centres nor aligned corners")
        return y.permute(0, 2, 3, 1)
    stride = a["strides"]
    if step.op in ("max_pool", "average_pool"):
        pool = nn.max_pool2d if step.op == "max_pool" else nn.avg_pool2d
        return pool(x, a["window"], stride).permute(0, 2, 3, 1)
    weights = inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    if step.op == "transposed_conv2d":
        y = nn.conv_transpose2d(x, weights.permute(3, 0, 1, 2), bias, stride)
        return y[:, :, : shape[0], : shape[1]].permute(0, 2, 3, 1)
    before = a.get("before")
    dilation, kernel = a["dilations"], weights.shape[1:3]
    if before is None:
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        total = [max((o - 1) * s + r - n, 0) for o, s, r, n in zip(shape[:2], stride, reach, x.shape[2:], strict=True)]
        before = (total[0] // 2, total[1] // 2) if a["padding"] == "same" else (0, 0)
    after = [
        max((o - 1) * s + (k - 1) * d + 1 - n - b, 0)
        for o, s, k, d, n, b in zip(shape[:2], stride, kernel, dilation, x.shape[2:], before, strict=True)
    ]
    x = nn.pad(x, (before[1], after[1], before[0], after[0]))
    depthwise = step.op == "depthwise_conv2d"
    weights = weights.permute(3, 0, 1, 2) if depthwise else weights.permute(0, 3, 1, 2)
    return nn.conv2d(x, weights, bias, stride, 0, dilation, groups=x.shape[1] if depthwise else 1).permute(0, 2, 3, 1)

"""Small graphs for tests: one for each way in which an operator can be used, and one that holds them all."""

from __future__ import annotations

from typing import Any

import numpy as np

from posemask.networks.graph import Graph, Node, make_graph

INPUT = (2, 7, 8, 4)
"""Shape of the input of every graph here: uneven, so that same padding is lopsided, and a batch."""


def weights(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def single(op: str, *operands: Any, **attributes: Any) -> Graph:
    """A graph of one operator on "x"; arrays among the operands become constants, the string "x" is the input."""
    constants = {f"c{i}": value for i, value in enumerate(operands) if isinstance(value, np.ndarray)}
    names = tuple(f"c{i}" if isinstance(value, np.ndarray) else value for i, value in enumerate(operands))
    return make_graph([Node(op, ("x", *names), "y", attributes)], constants, {"x": INPUT}, ["y"])


def _convolutions() -> dict[str, Graph]:
    graphs = {}
    for padding in ("same", "valid"):
        for strides, dilations in (((1, 1), (1, 1)), ((2, 2), (1, 1)), ((1, 1), (2, 2)), ((2, 1), (1, 1))):
            for kernel in (1, 2, 3):
                name = f"{padding} stride {strides} dilation {dilations} kernel {kernel}"
                a = {"padding": padding, "strides": strides, "dilations": dilations}
                graphs[f"conv2d {name}"] = single("conv2d", weights(5, kernel, kernel, 4), weights(5), **a)
                if strides[0] == strides[1]:  # LiteRT's depthwise kernels take no other
                    many = weights(1, kernel, kernel, 8)
                    graphs[f"depthwise_conv2d {name}"] = single("depthwise_conv2d", many, weights(8), **a)
    for padding in ("same", "valid"):
        for kernel, stride in ((2, 2), (3, 2), (4, 2), (3, 1), (2, 3)):
            graphs[f"transposed_conv2d {padding} kernel {kernel} stride {stride}"] = single(
                "transposed_conv2d",
                weights(3, kernel, kernel, 4),
                weights(3),
                padding=padding,
                strides=(stride, stride),
            )
    for op, shape in (("conv2d", (5, 3, 3, 4)), ("depthwise_conv2d", (1, 3, 3, 4))):
        for activation in ("relu", "relu6"):
            graphs[f"{op} {activation}"] = single(op, weights(*shape), padding="same", activation=activation)
        half = weights(*shape).astype(np.float16)
        graphs[f"{op} float16"] = single(op, half, weights(shape[0 if op == "conv2d" else 3]), padding="same")
    graphs["transposed_conv2d without bias"] = single("transposed_conv2d", weights(3, 2, 2, 4), padding="same")
    return graphs


def _pools() -> dict[str, Graph]:
    return {
        f"{op} {padding} window {window} stride {stride}": single(
            op, padding=padding, window=(window, window), strides=(stride, stride), activation=activation
        )
        for op, activation in (("max_pool", "none"), ("average_pool", "relu"))
        for padding in ("same", "valid")
        for window, stride in ((2, 2), (3, 2), (3, 1))
    }


def _others() -> dict[str, Graph]:
    graphs = {}
    for op in ("add", "sub", "mul", "maximum", "minimum"):
        graphs[f"{op} itself"] = single(op, "x")
        graphs[f"{op} constant by channel"] = single(op, weights(4))
        graphs[f"{op} scalar"] = single(op, np.array(0.3, np.float32))
        graphs[f"{op} constant map"] = single(op, weights(1, 7, 8, 1))
    for op in ("add", "sub", "mul"):
        graphs[f"{op} relu6"] = single(op, weights(1, 1, 1, 4), activation="relu6")
    for op in ("relu", "relu6", "hard_swish", "sigmoid", "softmax"):
        graphs[op] = single(op)
    for axes in ((1, 2), (1,), (2,), (3,), (1, 2, 3)):
        for keep in (True, False):
            graphs[f"mean {axes} keep {keep}"] = single("mean", axes=axes, keep_dims=keep)
    for size in ((14, 16), (7, 11), (3, 4)):
        graphs[f"resize_bilinear {size} half_pixel"] = single("resize_bilinear", size=size, half_pixel=True)
        graphs[f"resize_bilinear {size} align_corners"] = single("resize_bilinear", size=size, align_corners=True)
        graphs[f"resize_bilinear {size} corner"] = single("resize_bilinear", size=size)
    graphs["pad around"] = single("pad", paddings=((0, 0), (1, 2), (0, 3), (0, 0)))
    graphs["pad channels"] = single("pad", paddings=((0, 0), (0, 0), (0, 0), (1, 2)))
    for axis in (1, 2, 3):
        graphs[f"concat {axis}"] = single("concat", "x", axis=axis)
    graphs["reshape flat"] = single("reshape", shape=(224,))
    graphs["reshape rows"] = single("reshape", shape=(-1, 4))
    graphs["reshape map"] = single("reshape", shape=(8, 7, 4))
    graphs["depth_to_space"] = single("depth_to_space", block=2)
    return graphs


def _chains() -> dict[str, Graph]:
    """What only shows when operators follow each other."""

    def chain(*steps: tuple[str, tuple[Any, ...], dict[str, Any]]) -> Graph:
        nodes, constants = [], {}
        for i, (op, operands, attributes) in enumerate(steps):
            names = [f"c{i}.{j}" for j in range(len(operands))]
            constants |= dict(zip(names, operands, strict=True))
            source = f"v{i - 1}" if i else "x"
            nodes.append(Node(op, (source, *names), f"v{i}", attributes))
        return make_graph(nodes, constants, {"x": INPUT}, [f"v{len(steps) - 1}"])

    kernel = (weights(5, 3, 3, 4), weights(5))
    around = {"paddings": ((0, 0), (1, 2), (1, 1), (0, 0))}
    flat = ("reshape", (), {"shape": (56, 4)})
    return {
        "pad then convolve": chain(("pad", (), around), ("conv2d", kernel, {"padding": "valid", "strides": (2, 2)})),
        "pad then convolve same": chain(("pad", (), around), ("conv2d", kernel, {"padding": "same"})),
        "pad channels then convolve": chain(
            ("pad", (), {"paddings": ((0, 0), (0, 0), (0, 0), (2, 2))}),
            ("conv2d", (weights(5, 3, 3, 8), weights(5)), {"padding": "valid"}),
        ),
        "flat then arithmetic": chain(flat, ("mul", (weights(4),), {}), ("add", (weights(1, 56, 1),), {})),
        "flat then softmax": chain(flat, ("softmax", (), {})),
        "flat then back": chain(flat, ("sigmoid", (), {}), ("reshape", (), {"shape": (4, 7, 8)})),
        "flat then mean": chain(flat, ("mean", (), {"axes": (1,), "keep_dims": False})),
        "flat then pad": chain(flat, ("pad", (), {"paddings": ((0, 0), (1, 0), (0, 2))})),
    }


OPERATORS = {**_convolutions(), **_pools(), **_others(), **_chains()}
"""Graphs by what they test."""


def everything() -> Graph:
    """One graph with every operator, several outputs, float32 and float16 constants."""
    a: dict[str, Any] = {"padding": "same"}
    nodes = [
        Node("pad", ("x",), "padded", {"paddings": ((0, 0), (0, 1), (0, 0), (0, 0))}),
        Node("conv2d", ("padded", "w", "b"), "conv", {**a, "strides": (2, 2), "activation": "relu6"}),
        Node("depthwise_conv2d", ("conv", "dw", "b"), "deep", {**a, "activation": "relu"}),
        Node("hard_swish", ("deep",), "swish", {}),
        Node("average_pool", ("swish",), "average", {"window": (4, 4), "strides": (4, 4), "padding": "valid"}),
        Node("sigmoid", ("average",), "gate", {}),
        Node("mul", ("swish", "gate"), "gated", {}),
        Node("resize_bilinear", ("gated",), "large", {"size": (8, 8), "half_pixel": True}),
        Node("max_pool", ("large",), "small", {"window": (2, 2), "strides": (2, 2), "padding": "valid"}),
        Node("add", ("small", "gated"), "sum", {"activation": "relu"}),
        Node("sub", ("sum", "w0"), "less", {}),
        Node("maximum", ("less", "gated"), "most", {}),
        Node("minimum", ("most", "w0"), "least", {}),
        Node("relu", ("least",), "positive", {}),
        Node("relu6", ("positive",), "capped", {}),
        Node("transposed_conv2d", ("capped", "tw", "tb"), "mask", {**a, "strides": (2, 2)}),
        Node("depth_to_space", ("capped",), "spread", {"block": 2}),
        Node("concat", ("mask", "spread"), "joined", {"axis": 3}),
        Node("mean", ("joined",), "mean", {"axes": (1, 2), "keep_dims": True}),
        Node("reshape", ("mean",), "row", {"shape": (-1,)}),
        Node("softmax", ("row",), "shares", {}),
    ]
    constants = {
        "w": weights(4, 3, 3, 4).astype(np.float16),
        "b": weights(4).astype(np.float16),
        "dw": weights(1, 3, 3, 4).astype(np.float16),
        "tw": weights(3, 2, 2, 4),
        "tb": weights(3),
        "w0": weights(1, 1, 1, 4),
    }
    return make_graph(nodes, constants, {"x": INPUT}, ["mask", "shares", "gated"])

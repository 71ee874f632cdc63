"""The rules of a graph, and what can be done with one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from posemask.errors import InputError, ModelFileError
from posemask.networks.graph import MAX_ELEMENTS, Node, make_graph
from posemask.networks.operators import same_padding

from . import reference
from .examples import INPUT, everything, single, weights


def test_shapes_are_inferred() -> None:
    graph = everything()
    assert graph.input_shapes == (INPUT,)
    assert graph.output_shapes == ((2, 8, 8, 3), (2, 4), (2, 4, 4, 4))
    assert repr(graph) == "Graph(x 2x7x8x4 -> mask 2x8x8x3, shares 2x4, gated 2x4x4x4; 21 operators)"


def test_keep_outputs_drops_what_nobody_needs_and_keeps_the_order_asked_for() -> None:
    graph = everything()
    kept = graph.keep_outputs(["gated", 0])
    assert kept.outputs == ("gated", "mask")
    assert {node.output for node in graph.nodes} - {node.output for node in kept.nodes} == {
        "spread", "joined", "mean", "row", "shares",
    }  # fmt: skip
    assert set(kept.constants) == set(graph.constants)
    x = np.random.default_rng(0).normal(size=INPUT)
    whole = reference.run(graph, x)
    for one, other in zip(reference.run(kept, x), (whole[2], whole[0]), strict=True):
        assert np.array_equal(one, other)
    assert set(graph.keep_outputs(["gated"]).constants) == {"w", "b", "dw"}


def test_values_inside_can_become_outputs() -> None:
    assert everything().keep_outputs(["conv"]).output_shapes == ((2, 4, 4, 4),)


@pytest.mark.parametrize("wanted", [[], ["nothing"], [3], [-1], ["x"], ["w"]])
def test_keep_outputs_refuses_what_is_not_there(wanted: list[str | int]) -> None:
    with pytest.raises(InputError):
        everything().keep_outputs(wanted)


def test_another_size_and_batch() -> None:
    graph = single("conv2d", weights(5, 3, 3, 4), padding="same", strides=(2, 2))
    assert graph.with_input_shape((1, 33, 65, 4)).output_shapes == ((1, 17, 33, 5),)
    assert everything().with_batch(5).output_shapes[0] == (5, 8, 8, 3)


@pytest.mark.parametrize("shape", [(1, 16, 16, 4), (1, 7, 8, 3), (0, 7, 8, 4), (7, 8, 4), (1, 7, 2.5, 4)])
def test_a_size_that_does_not_fit_is_refused(shape: tuple[Any, ...]) -> None:
    with pytest.raises(InputError):
        everything().with_input_shape(shape)


def test_with_input_shape_wants_a_shape_for_each_input() -> None:
    with pytest.raises(InputError, match="1 inputs, got 2"):
        everything().with_input_shape(INPUT, INPUT)


def test_a_graph_is_frozen() -> None:
    given = weights(4)
    graph = single("add", given)
    with pytest.raises(AttributeError):
        graph.nodes = ()  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["c0"][0] = 1
    with pytest.raises(TypeError):
        graph.nodes[0].attributes["activation"] = "relu"  # type: ignore[index]
    given[0] = 2  # the caller's own array stays the caller's


BROKEN: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "unknown operator": ("fold", ("x",), {}),
    "unknown attribute": ("relu", ("x",), {"leak": 0.1}),
    "missing attribute": ("concat", ("x", "x"), {}),
    "attribute of the wrong type": ("concat", ("x", "x"), {"axis": 1.0}),
    "a flag as a number": ("mean", ("x",), {"axes": (1,), "keep_dims": 1}),
    "a pair of three": ("max_pool", ("x",), {"window": (2, 2, 2), "strides": (1, 1), "padding": "same"}),
    "stride zero": ("conv2d", ("x", "w"), {"padding": "same", "strides": (0, 1)}),
    "absurd stride": ("conv2d", ("x", "w"), {"padding": "same", "strides": (2**31, 1)}),
    "unknown padding": ("conv2d", ("x", "w"), {"padding": "reflect"}),
    "too few inputs": ("conv2d", ("x",), {"padding": "same"}),
    "too many inputs": ("relu", ("x", "x"), {}),
    "computed weights": ("conv2d", ("x", "x"), {"padding": "same"}),
    "wrong channels": ("conv2d", ("x", "w"), {"padding": "same"}),
    "wrong channels, depthwise": ("depthwise_conv2d", ("x", "v"), {"padding": "same"}),
    "wrong bias": ("conv2d", ("x", "v", "b"), {"padding": "same"}),
    "window larger than the map": ("max_pool", ("x",), {"window": (9, 9), "strides": (1, 1), "padding": "valid"}),
    "shapes that do not broadcast": ("add", ("x", "b"), {}),
    "a constant that adds a dimension": ("add", ("x", "five"), {}),
    "a constant that is a batch": ("add", ("x", "batch"), {}),
    "only constants": ("add", ("b", "b"), {}),
    "undefined input": ("relu", ("z",), {}),
    "its own input": ("relu", ("y",), {}),
    "mean over the batch": ("mean", ("x",), {"axes": (0,)}),
    "mean over nothing": ("mean", ("x",), {"axes": ()}),
    "mean twice": ("mean", ("x",), {"axes": (1, 1)}),
    "concat along the batch": ("concat", ("x", "x"), {"axis": 0}),
    "concat outside": ("concat", ("x", "x"), {"axis": 4}),
    "reshape to another size": ("reshape", ("x",), {"shape": (225,)}),
    "reshape with two free sizes": ("reshape", ("x",), {"shape": (-1, -1)}),
    "reshape to nothing": ("reshape", ("x",), {"shape": (0,)}),
    "depth_to_space of few channels": ("depth_to_space", ("x",), {"block": 3}),
    "resize both ways": ("resize_bilinear", ("x",), {"size": (2, 2), "half_pixel": True, "align_corners": True}),
    "resize to a huge size": ("resize_bilinear", ("x",), {"size": (2**15, 2**15)}),
    "pad the batch": ("pad", ("x",), {"paddings": ((0, 1), (0, 0), (0, 0), (0, 0))}),
    "pad three of four": ("pad", ("x",), {"paddings": ((0, 0), (0, 0), (0, 0))}),
    "pad by less than nothing": ("pad", ("x",), {"paddings": ((0, 0), (-1, 0), (0, 0), (0, 0))}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_refused(name: str) -> None:
    op, inputs, attributes = BROKEN[name]
    constants = {
        "w": weights(2, 3, 3, 5), "v": weights(2, 3, 3, 4), "b": weights(5),
        "five": weights(1, 1, 1, 1, 4), "batch": weights(6, 1, 1, 4),
    }  # fmt: skip
    with pytest.raises(ModelFileError):
        make_graph([Node(op, inputs, "y", attributes)], constants, {"x": (1, 7, 8, 4)}, ["y"])


@pytest.mark.parametrize("outputs", [[], ["z"], ["y", "y"], ["x"], ["c"]])
def test_outputs_must_be_made_once(outputs: list[str]) -> None:
    with pytest.raises(ModelFileError):
        make_graph([Node("relu", ("x",), "y", {})], {"c": weights(2)}, {"x": INPUT}, outputs)


def test_a_value_is_defined_once() -> None:
    with pytest.raises(ModelFileError, match="twice"):
        make_graph([Node("relu", ("x",), "x", {})], {}, {"x": INPUT}, ["x"])


@pytest.mark.parametrize("shape", [(), (4,), (1, 2, 3, 4, 5), (1, -1, 2, 3), (1, 0, 2, 3), (1, 1, MAX_ELEMENTS, 2)])
def test_inputs_must_have_a_sane_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFileError):
        make_graph([Node("relu", ("x",), "y", {})], {}, {"x": shape}, ["y"])


def test_constants_must_be_floats() -> None:
    with pytest.raises(ModelFileError, match="float64"):
        make_graph([Node("add", ("x", "c"), "y", {})], {"c": np.zeros(4)}, {"x": INPUT}, ["y"])


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "expected"),
    [
        (224, 3, 2, 1, (0, 1)),
        (225, 3, 2, 1, (1, 1)),
        (256, 5, 2, 1, (1, 2)),
        (64, 3, 1, 1, (1, 1)),
        (64, 1, 2, 1, (0, 0)),
        (33, 3, 1, 2, (2, 2)),
    ],
)
def test_same_padding_is_tensorflows(
    size: int, kernel: int, stride: int, dilation: int, expected: tuple[int, int]
) -> None:
    assert same_padding(size, kernel, stride, dilation) == expected

"""The contract of a runtime: every network, on every runtime, gives what the published file gives on LiteRT."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemask import runtimes
from posemask.errors import InputError
from posemask.networks.graph import Graph, Node, make_graph
from posemask.weights import DEFAULT_NAMES, default_store

Array = np.ndarray[Any, Any]
Graphs = Callable[[str], Graph]
Inputs = Callable[..., Array]

PEOPLE = "groundtruth/tfjs_bodypix/three_people.jpg"
SMALL = ["pose_landmark_lite", "selfie_segmentation_landscape"]
"""Networks that stand for all where the runtime is tested and not the network."""


def close(one: Array, other: Array, *, rtol: float, atol: float) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=rtol, atol=atol)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x.astype(np.float64), -60, 60)))


def same_mask(one: Array, other: Array) -> bool:
    apart = np.abs(sigmoid(one) - sigmoid(other))
    return one.shape == other.shape and apart.max() < 0.02 and apart.mean() < 2e-5


# How far float32 rounding may move an output. Measured against the same graph in float64, on nine pictures, LiteRT
# itself is off by 0.003 of a landmark's 256 pixels, 4 of 1,670 in a mask's logit (0.012 as a probability, on single
# pixels at an edge), 3e-4 of a selfie mask; the other runtimes by no more. Two that round differently may be apart
# by the sum; a wrong operator is off by orders of magnitude.
SAME: dict[str, list[Callable[[Array, Array], bool]]] = {
    "pose_detection": [lambda a, b: close(a, b, rtol=1e-5, atol=5e-3)] * 2,  # pixels of 224, logits up to 600
    "pose_landmark": [
        lambda a, b: close(a, b, rtol=0, atol=0.02),  # pixels of 256; logits of visibility and presence
        lambda a, b: close(a, b, rtol=0, atol=2e-5),  # probability that somebody is there
        same_mask,  # logits
        lambda a, b: close(a, b, rtol=1e-4, atol=5e-3),  # heat map, logits
        lambda a, b: close(a, b, rtol=0, atol=2e-4),  # metres
    ],
    "face_detection": [lambda a, b: close(a, b, rtol=1e-5, atol=5e-3)] * 2,  # pixels of 128 or 192, logits up to 100
    "selfie_segmentation": [lambda a, b: close(a, b, rtol=0, atol=1e-3)],  # probabilities
}


def agreement(name: str) -> list[Callable[[Array, Array], bool]]:
    return next(checks for start, checks in SAME.items() if name.startswith(start))


@pytest.fixture(params=runtimes.RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> runtimes.RuntimeName:
    if request.param not in runtimes.available():
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="session")
def published_outputs(input_of: Inputs) -> Callable[[str], list[Array]]:
    """What the published file itself, with its sparse weights and custom operator, gives on LiteRT."""
    interpreter_of = pytest.importorskip("ai_edge_litert.interpreter").Interpreter

    @cache
    def outputs(name: str, file: str = "groundtruth/tfjs_pose/pose.jpg") -> list[Array]:
        x = input_of(name, file)
        interpreter = interpreter_of(model_path=str(default_store().status(name).path), num_threads=1)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]

    return outputs


@pytest.mark.parametrize("name", DEFAULT_NAMES)
def test_every_network_on_every_runtime(
    name: str, runtime: runtimes.RuntimeName, graph_of: Graphs, input_of: Inputs, published_outputs: Any
) -> None:
    graph, x = graph_of(name), input_of(name)
    made = runtimes.load(graph, runtime=runtime, threads=1)(x)
    assert isinstance(made, tuple)
    assert tuple(output.shape for output in made) == graph.output_shapes
    assert {output.dtype for output in made} == {np.dtype(np.float32)}
    for same, one, other in zip(agreement(name), made, published_outputs(name), strict=True):
        assert same(one, other)
    if name.startswith("pose_landmark"):
        assert made[1] > 0.99, "the picture must show somebody, or the test says nothing"


def test_the_checks_see_what_is_not_the_same(published_outputs: Any) -> None:
    for name in DEFAULT_NAMES:
        outputs, of_another_picture = published_outputs(name), published_outputs(name, PEOPLE)
        for same, one, other in zip(agreement(name), outputs, of_another_picture, strict=True):
            assert same(one, one)
            assert one.shape == (1, 1) or not same(one, other)  # both pictures show somebody


def test_litert_runs_our_file_to_the_published_ones_bits(
    graph_of: Graphs, input_of: Inputs, published_outputs: Any
) -> None:
    for name in DEFAULT_NAMES:
        made = runtimes.load(graph_of(name), runtime="litert", threads=1)(input_of(name))
        for one, other in zip(made, published_outputs(name), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["pose_landmark_lite", "pose_landmark_full", "pose_detection"])
def test_cutting_heads_leaves_the_others_as_they_were(
    name: str, runtime: runtimes.RuntimeName, graph_of: Graphs, input_of: Inputs
) -> None:
    """To the bit, and they come in the order asked for."""
    graph, x = graph_of(name), input_of(name)
    order = [i for i in reversed(range(len(graph.outputs))) if i != 2]
    whole = [output.copy() for output in runtimes.load(graph, runtime=runtime, threads=1)(x)]
    cut = graph.keep_outputs(order)
    assert len(cut.nodes) < len(graph.nodes) or name == "pose_detection"
    made = runtimes.load(cut, runtime=runtime, threads=1)(x)
    for i, output in zip(order, made, strict=True):
        assert np.array_equal(output, whole[i])


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_is_each_of_its_pictures(
    name: str, runtime: runtimes.RuntimeName, graph_of: Graphs, input_of: Inputs
) -> None:
    graph = graph_of(name)
    pictures = [input_of(name), input_of(name, PEOPLE), np.zeros_like(input_of(name))]
    network = runtimes.load(graph, runtime=runtime, threads=1)
    alone = [[output.copy() for output in network(picture)] for picture in pictures]
    together = runtimes.load(graph.with_batch(3), runtime=runtime, threads=1)(np.concatenate(pictures))
    for i in range(3):
        for same, one, other in zip(agreement(name), together, alone[i], strict=True):
            assert same(one[i : i + 1], other)


@pytest.mark.parametrize("name", SMALL)
def test_threads_change_nothing_but_time(
    name: str, runtime: runtimes.RuntimeName, graph_of: Graphs, input_of: Inputs
) -> None:
    x = input_of(name)
    made = [runtimes.load(graph_of(name), runtime=runtime, threads=n)(x) for n in (1, 2, 3)]
    for others in made[1:]:
        for same, one, other in zip(agreement(name), made[0], others, strict=True):
            assert same(one, other)


@pytest.mark.parametrize("name", SMALL)
def test_any_array_will_do_and_none_is_written_to(
    name: str, runtime: runtimes.RuntimeName, graph_of: Graphs, input_of: Inputs
) -> None:
    x = input_of(name)
    network = runtimes.load(graph_of(name), runtime=runtime, threads=1)
    expected = [output.copy() for output in network(x)]
    before = x.copy()
    frozen = x.copy()
    frozen.flags.writeable = False
    mirrored = np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1]  # negative strides
    spread = np.zeros((*x.shape[:3], 5), np.float32)
    spread[..., 1:4] = x
    planar = np.ascontiguousarray(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    for given in (x, frozen, mirrored, spread[..., 1:4], planar):
        for one, other in zip(network(given), expected, strict=True):
            assert np.array_equal(one, other)
    assert np.array_equal(x, before)


def tiny() -> Graph:
    kernel = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    node = Node("conv2d", ("picture", "kernel"), "map", {"padding": "same"})
    return make_graph([node], {"kernel": kernel}, {"picture": (1, 6, 8, 3)}, ["map"])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 8, 6, 3), np.float32),
        np.zeros((6, 8, 3), np.float32),
        np.zeros((1, 6, 8, 4), np.float32),
        np.zeros((1, 6, 8, 3), np.float64),
        np.zeros((1, 6, 8, 3), np.uint8),
        [[1.0]],
        None,
    ],
    ids=["turned", "no batch", "channels", "float64", "uint8", "list", "none"],
)
def test_a_wrong_input_is_refused_in_words(runtime: runtimes.RuntimeName, wrong: Any) -> None:
    network = runtimes.load(tiny(), runtime=runtime, threads=1)
    with pytest.raises(InputError, match=r"expects .*float32 array"):
        network(wrong)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_threads_is_refused(runtime: runtimes.RuntimeName, threads: Any) -> None:
    with pytest.raises(InputError, match="threads"):
        runtimes.load(tiny(), runtime=runtime, threads=threads)


def test_networks_do_not_disturb_each_other(runtime: runtimes.RuntimeName) -> None:
    one, two = (runtimes.load(tiny(), runtime=runtime, threads=1) for _ in range(2))
    x = np.random.default_rng(1).random((1, 6, 8, 3), np.float32)
    (made,) = one(x)
    expected = made.copy()
    two(-x)
    assert np.array_equal(made, expected)


def test_outputs_outlive_their_network(runtime: runtimes.RuntimeName) -> None:
    network = runtimes.load(tiny(), runtime=runtime, threads=1)
    (made,) = network(np.ones((1, 6, 8, 3), np.float32))
    expected = made.copy()
    del network
    gc.collect()
    others = [np.full((1, 6, 8, 2), 9, np.float32) for _ in range(50)]
    assert np.array_equal(made, expected)
    assert len(others) == 50


def test_a_network_with_two_inputs_is_refused(runtime: runtimes.RuntimeName) -> None:
    if runtime == "native":
        pytest.skip("our own engine takes any number of inputs")
    shapes = {"a": (1, 2, 2, 1), "b": (1, 2, 2, 1)}
    graph = make_graph([Node("add", ("a", "b"), "sum", {})], {}, shapes, ["sum"])
    with pytest.raises(InputError, match="one input"):
        runtimes.load(graph, runtime=runtime, threads=1)


def test_litert_greets_nobody(tmp_path: Path) -> None:
    """Its native code would write a line to standard error when the first network of a process is loaded."""
    script = tmp_path / "first.py"
    script.write_text(
        "import os, numpy as np\n"
        "from posemask import runtimes\n"
        "from posemask.networks.graph import Node, make_graph\n"
        "graph = make_graph([Node('relu', ('x',), 'y', {})], {}, {'x': (1, 2, 2, 1)}, ['y'])\n"
        "runtimes.load(graph, runtime='litert', threads=1)(np.zeros((1, 2, 2, 1), np.float32))\n"
        "os.write(2, b'still here')\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "still here"
    assert done.stdout == ""

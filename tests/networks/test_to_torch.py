"""The torch module as a module: it moves, widens and narrows, takes any batch, keeps its memory layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posemask.networks.read_tflite import read_tflite

from . import reference
from .examples import INPUT, OPERATORS, everything, single

torch = pytest.importorskip("torch")

from posemask.networks.to_torch import to_torch  # noqa: E402 - it needs torch


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", ["everything", *OPERATORS])
def test_double_precision_is_the_plain_interpreter(name: str) -> None:
    graph = everything() if name == "everything" else OPERATORS[name]
    x = normal(*INPUT).astype(np.float64)
    made = to_torch(graph).double()(torch.from_numpy(x))
    for one, other in zip(made, reference.run(graph, x), strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-6, atol=1e-6)  # corner weights are float32


@pytest.mark.parametrize("batch", [1, 3])
def test_any_batch(batch: int) -> None:
    graph = everything()
    x = normal(batch, *INPUT[1:])
    made = to_torch(graph)(torch.from_numpy(x))
    for one, other in zip(made, reference.run(graph.with_batch(batch), x), strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=2e-5)


def test_half_precision_moves_all_weights() -> None:
    module = to_torch(everything()).half()
    assert {value.dtype for value in module.buffers()} == {torch.float16}
    x = normal(*INPUT)
    made = module(torch.from_numpy(x).half())
    for one, other in zip(made, reference.run(everything(), x), strict=True):
        assert one.dtype == torch.float16
        np.testing.assert_allclose(one.float().numpy(), other, rtol=0.05, atol=0.1)


def test_the_input_is_not_written_to() -> None:
    """Activations run in place, but never on what the caller gave."""
    for graph in (single("relu6"), single("mul", np.array(2, np.float32), activation="relu")):
        x = torch.from_numpy(normal(*INPUT))
        before = x.clone()
        to_torch(graph)(x)
        assert torch.equal(x, before)


def test_an_operand_used_twice_survives_a_fused_activation() -> None:
    from posemask.networks.graph import Node, make_graph

    nodes = [
        Node("reshape", ("x",), "flat", {"shape": (224,)}),
        Node("concat", ("flat",), "one", {"axis": 1, "activation": "relu"}),
        Node("add", ("one", "flat"), "sum", {}),
    ]
    graph = make_graph(nodes, {}, {"x": INPUT}, ["sum"])
    x = normal(*INPUT)
    np.testing.assert_allclose(to_torch(graph)(torch.from_numpy(x))[0].numpy(), reference.run(graph, x)[0], rtol=1e-6)


def test_feature_maps_stay_in_channels_last_memory(published: Callable[[str], Path]) -> None:
    """So that neither the door nor any operator inside has to turn a feature map round."""
    module = to_torch(read_tflite(published("pose_landmark_lite")))
    turned = []

    class Watcher(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            made = super().run_node(n)
            if n.op == "call_function" and made.ndim == 4 and made.shape[1] > 1 and made.shape[2] > 1:
                turned.extend([] if made.is_contiguous(memory_format=torch.channels_last) else [n.name])
            return made

    with torch.inference_mode():
        made = Watcher(module).run(torch.zeros(1, 256, 256, 3))
    assert not turned
    assert all(output.is_contiguous() for output in made)


def test_paddings_go_into_the_convolutions_behind_them(published: Callable[[str], Path]) -> None:
    graph = read_tflite(published("pose_landmark_full"))
    pads = [node for node in to_torch(graph).graph.nodes if node.target is torch.nn.functional.pad]
    assert sum(node.op == "pad" for node in graph.nodes) == 5
    # what is left pads more after than before, which torch's convolutions cannot
    assert all(node.args[1][:2] in ([0, 1], [1, 2]) for node in pads)

"""Our own CPU engine (csrc/engine): no dependency, the fastest on the published networks, runs any x86 or ARM CPU.

The engine fuses the inverted residual blocks of these networks; docs/performance-engine.md tells how and what it gains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, RuntimeUnavailableError
from ..networks.graph import Graph, Node, make_graph
from . import native_plan
from .network import check_threads

__all__ = ["NativeNetwork", "load", "split"]

Floats = npt.NDArray[np.float32]
MOST_ROWS = 2**30  # more than any map has


def load(graph: Graph, *, threads: int = 1) -> NativeNetwork:
    """Prepare a graph for the CPU.

    Args:
        graph: any input size; the weights are copied, so the graph may be dropped.
        threads: how many threads share one picture. They sleep while no picture is there.

    Raises `RuntimeUnavailableError` where the extension module is not built, `ModelFileError` for an operator that the
    engine lacks, `InputError` for a thread count below 1.
    """
    check_threads(threads)
    try:
        from posemask import _engine
    except ImportError as error:
        raise RuntimeUnavailableError(
            "posemask was installed without its compiled engine; install a wheel, or a compiler and build it"
        ) from error
    return NativeNetwork(graph, native_plan.build(_engine, graph, threads))


def split(graph: Graph, late: Sequence[int]) -> tuple[Graph, Graph]:
    """Cut off what only some outputs need, so that it can run later or beside the next picture.

    Args:
        graph: the whole network.
        late: positions of the outputs that may come late, for instance the mask of a landmark network.

    Returns:
        The trunk, whose outputs are those that are not late, in order, and then the values that the late part reads;
        and the late part, whose inputs are these values and whose outputs are the late ones, in order. The cut lies
        where the least data crosses it among the places that leave two thirds of the late work behind it.

    Raises `InputError` if a position does not exist, or if not both parts would have outputs.
    """
    names = [graph.outputs[i] for i in late if 0 <= i < len(graph.outputs)]
    early = [name for name in graph.outputs if name not in names]
    if len(names) != len(late) or not names or not early:
        raise InputError(f"late must name some, not all, of {len(graph.outputs)} outputs, got {list(late)}")
    needed_early = {node.output for node in graph.keep_outputs(early).nodes}
    only_late = [node for node in graph.nodes if node.output not in needed_early]
    work = [_work(graph, node) for node in only_late]
    places = [i for i in range(len(only_late)) if 3 * sum(work[i:]) >= 2 * sum(work)]
    behind = min(
        (only_late[i:] for i in places),
        key=lambda nodes: sum(math.prod(graph.shapes[name]) for name in _crossing(graph, nodes)),
    )
    crossing = _crossing(graph, behind)
    from_inputs = [name for name in crossing if name in graph.inputs]
    if from_inputs:
        raise InputError(f"the late part reads the network's input {from_inputs[0]!r} itself and cannot be cut off")
    trunk = graph.keep_outputs([*early, *(name for name in crossing if name not in early)])
    read = {name for node in behind for name in node.inputs}
    constants = {name: value for name, value in graph.constants.items() if name in read}
    return trunk, make_graph(behind, constants, {name: graph.shapes[name] for name in crossing}, names)


def _crossing(graph: Graph, behind: Sequence[Node]) -> list[str]:
    """What these operators read of the others', in order."""
    made = {node.output for node in behind}
    read = dict.fromkeys(name for node in behind for name in node.inputs)
    return [name for name in read if name not in made and name not in graph.constants]


def _work(graph: Graph, node: Node) -> int:
    """About how many multiplications an operator does."""
    weights = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    each = math.prod(weights.shape[1:]) if weights is not None and node.op == "conv2d" else 1
    if weights is not None and node.op == "depthwise_conv2d":
        each = math.prod(weights.shape[1:3])
    return each * math.prod(graph.shapes[node.output])


class NativeNetwork:
    """A network on the CPU: call it with NHWC float32 arrays, one for each input; get a tuple of outputs.

    Without `out` the outputs belong to the network and are overwritten by the next call. Calls must not overlap;
    load the graph twice to run two pictures at the same time (the calls release the interpreter's lock).
    """

    def __init__(self, graph: Graph, plan: Any) -> None:
        self._plan = plan
        self._inputs = [shape[1:] for shape in graph.input_shapes]
        self._outputs = [shape[1:] for shape in graph.output_shapes]
        self._kept: tuple[Floats, ...] = ()

    def __call__(
        self, *pictures: Floats, out: Sequence[Floats] | None = None, rows: tuple[int, int] | None = None
    ) -> tuple[Floats, ...]:
        """Run the network.

        Args:
            pictures: one float32 array (N, H, W, C) for each input; N >= 1 pictures run one after the other.
            out: float32 C-contiguous arrays of the outputs' shapes to write into.
            rows: of a landmark network's mask, only the rows [first, last) are wanted, for instance those whose pixels
                fall into the frame. The others may keep what stood in the output before. Other outputs are whole.

        Raises `InputError` for arrays of other shapes or types.
        """
        shapes = [getattr(picture, "shape", None) for picture in pictures]
        batch = shapes[0][0] if shapes and shapes[0] else 0
        if batch < 1 or shapes != [(batch, *shape) for shape in self._inputs]:
            wanted = ", ".join(f"(N, {', '.join(map(str, shape))})" for shape in self._inputs)
            raise InputError(f"the network expects float32 arrays of shape {wanted}, got shapes {shapes}")
        if any(picture.dtype != np.float32 for picture in pictures):
            raise InputError(f"the network expects float32 arrays, got {[str(picture.dtype) for picture in pictures]}")
        arrays = [np.ascontiguousarray(picture) for picture in pictures]
        outputs = self._own(batch) if out is None else self._checked(batch, out)
        first, last = rows or (0, MOST_ROWS)
        if batch == 1:
            self._plan.run(arrays, outputs, first, last)
        else:
            for i in range(batch):
                self._plan.run([array[i] for array in arrays], [array[i] for array in outputs], first, last)
        return outputs

    def _own(self, batch: int) -> tuple[Floats, ...]:
        if not self._kept or self._kept[0].shape[0] != batch:
            self._kept = tuple(np.empty((batch, *shape), np.float32) for shape in self._outputs)
        return self._kept

    def _checked(self, batch: int, out: Sequence[Floats]) -> tuple[Floats, ...]:
        expected = [(batch, *shape) for shape in self._outputs]
        if [array.shape for array in out] != expected or any(
            array.dtype != np.float32 or not array.flags.c_contiguous or not array.flags.writeable for array in out
        ):
            raise InputError(
                f"out must hold writable C-contiguous float32 arrays of shapes {expected}; got {[a.shape for a in out]}"
            )
        return tuple(out)

    def profile(self, *pictures: Floats, rounds: int = 20) -> list[tuple[str, float]]:
        """The steps of the network in running order, each with its best time in seconds over some rounds."""
        self._plan.profiling(True)
        try:
            for _ in range(rounds):
                self(*pictures)
        finally:
            self._plan.profiling(False)
        return list(self._plan.profile())

    @property
    def memory_bytes(self) -> int:
        """Bytes of packed weights and feature maps."""
        return int(self._plan.weight_bytes + self._plan.arena_bytes)

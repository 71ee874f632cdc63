"""A network as a value: operators in running order, constants, inputs, outputs, and the shape of everything.

The published files (TFLite flatbuffers, TensorFlow.js graph models) are read once into a `Graph`; every runtime is
handed one. There is no other representation between a file and a runtime.

Rules of a graph, checked when `make_graph` builds it:

* A value (input, constant or an operator's output) has one name and is defined once, before it is used.
  So the nodes stand in running order and cannot form a loop.
* Feature maps are NHWC. The first dimension of an input and of an operator's output is the batch; no operator
  mixes it with the others (`reshape` leaves it alone), so any graph runs at any batch size.
* Constants are float32, or float16 where the file held half precision: a constant's meaning is its float32 value,
  and runtimes widen it. Sizes, axes and paddings are attributes, never constants.
* The operators, their attributes and the layout of their weights are listed in `posemask.networks.operators`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, ModelFileError
from .operators import OPERATORS, Attributes, Shape

__all__ = ["MAX_ELEMENTS", "Graph", "Node", "Shape", "make_graph"]

MAX_ELEMENTS = 2**26
"""Most elements that one value may have per picture of a batch; more can only come from a damaged or hostile file."""

Constants = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator: what it is, the names of the values it reads, the name of the value it makes."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Attributes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Graph:
    """A whole network. Build it with `make_graph`, which checks it.

    Attributes:
        nodes: operators in running order.
        constants: weights by name, read-only float32 or float16 arrays.
        inputs, outputs: names of values, in order.
        shapes: shape of every value by name, batch first.
    """

    nodes: tuple[Node, ...]
    constants: Constants
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape]

    def __repr__(self) -> str:
        def described(names: Iterable[str]) -> str:
            return ", ".join(f"{name} {'x'.join(map(str, self.shapes[name]))}" for name in names)

        return f"Graph({described(self.inputs)} -> {described(self.outputs)}; {len(self.nodes)} operators)"

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the inputs, in order."""
        return tuple(self.shapes[name] for name in self.inputs)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the outputs, in order."""
        return tuple(self.shapes[name] for name in self.outputs)

    def keep_outputs(self, wanted: Iterable[str | int]) -> Graph:
        """The same network with only these outputs (names, or positions among the present ones), in this order.

        Operators and constants that no wanted output needs are dropped. The output of any operator inside the network
        may be named, too.
        Raises `InputError` for an unknown name or position, or when nothing is wanted.
        """
        names = tuple(self._output_name(item) for item in wanted)
        if not names:
            raise InputError("at least one output must be kept")
        needed, kept = set(names), []
        for node in reversed(self.nodes):
            if node.output in needed:
                needed.update(node.inputs)
                kept.append(node)
        constants = {name: value for name, value in self.constants.items() if name in needed}
        return make_graph(kept[::-1], constants, {name: self.shapes[name] for name in self.inputs}, names)

    def with_input_shape(self, *shapes: Sequence[int]) -> Graph:
        """The same network for inputs of other shapes (batch, height, width, channels), one for each input in order.

        Raises `InputError` if the network cannot take them (for instance because it resizes to a fixed size inside).
        """
        if len(shapes) != len(self.inputs):
            raise InputError(f"the network has {len(self.inputs)} inputs, got {len(shapes)} shapes")
        try:
            return make_graph(
                self.nodes,
                self.constants,
                {name: tuple(shape) for name, shape in zip(self.inputs, shapes, strict=True)},
                self.outputs,
            )
        except ModelFileError as error:
            raise InputError(f"the network cannot take inputs of shape {shapes}: {error}") from error

    def with_batch(self, size: int) -> Graph:
        """The same network for `size` pictures at once."""
        return self.with_input_shape(*((size, *shape[1:]) for shape in self.input_shapes))

    def _output_name(self, item: str | int) -> str:
        if isinstance(item, str):
            if item not in self.shapes or item in self.constants or item in self.inputs:
                raise InputError(f"the network has no output {item!r}; its outputs are {', '.join(self.outputs)}")
            return item
        if not 0 <= item < len(self.outputs):
            raise InputError(f"the network has {len(self.outputs)} outputs, so no output number {item}")
        return self.outputs[item]


def make_graph(
    nodes: Iterable[Node],
    constants: Constants,
    inputs: Mapping[str, Shape],
    outputs: Iterable[str],
) -> Graph:
    """Check the parts against the rules of a graph, infer all shapes, and freeze them.

    Args:
        nodes: operators in running order; missing attributes get their defaults.
        constants: arrays by name, float32 or float16; they become read-only views.
        inputs: names and shapes of the inputs, in order.
        outputs: names of the values that the network gives, in order.

    Raises `ModelFileError` where a rule is broken, naming the operator.
    """
    shapes: dict[str, Shape] = {}
    for name, shape in inputs.items():
        _define(shapes, name, _checked_shape(name, shape), per_picture=True)
    frozen_constants = {}
    for name, value in constants.items():
        if value.dtype not in (np.float32, np.float16):
            raise ModelFileError(f"constant {name!r} must be float32 or float16, got {value.dtype}")
        frozen = value.view()
        frozen.flags.writeable = False
        frozen_constants[name] = frozen
        _define(shapes, name, value.shape, per_picture=False)

    checked = []
    for node in nodes:
        operator = OPERATORS.get(node.op)
        if operator is None:
            raise ModelFileError(f"unknown operator {node.op!r} makes {node.output!r}")
        missing = [name for name in node.inputs if name not in shapes]
        if missing:
            raise ModelFileError(f"{node.op} makes {node.output!r} of {missing[0]!r}, which is not defined before it")
        try:
            attributes = operator.complete(node.attributes)
            weights = [name in frozen_constants for name in node.inputs]
            shape = operator.output_shape([shapes[name] for name in node.inputs], weights, attributes)
        except ModelFileError as error:
            raise ModelFileError(f"{node.op} that makes {node.output!r}: {error}") from None
        _define(shapes, node.output, shape, per_picture=True)
        checked.append(Node(node.op, tuple(node.inputs), node.output, MappingProxyType(attributes)))

    names = tuple(outputs)
    made = {node.output for node in checked}
    unknown = [name for name in names if name not in made]
    if unknown or not names:
        raise ModelFileError(f"no operator makes the output {unknown[0]!r}" if unknown else "the network has no output")
    if len(set(names)) != len(names):
        raise ModelFileError(f"an output is named twice: {', '.join(names)}")
    return Graph(
        nodes=tuple(checked),
        constants=MappingProxyType(frozen_constants),
        inputs=tuple(inputs),
        outputs=names,
        shapes=MappingProxyType(shapes),
    )


def _checked_shape(name: str, shape: Shape) -> Shape:
    if not 2 <= len(shape) <= 4 or any(not isinstance(size, (int, np.integer)) or size < 1 for size in shape):
        raise ModelFileError(f"input {name!r} must have 2 to 4 positive sizes, batch first, got {tuple(shape)}")
    return tuple(int(size) for size in shape)


def _define(shapes: dict[str, Shape], name: str, shape: Shape, *, per_picture: bool) -> None:
    if name in shapes:
        raise ModelFileError(f"the value {name!r} is defined twice")
    if math.prod(shape[1:] if per_picture else shape) > MAX_ELEMENTS:
        raise ModelFileError(f"the value {name!r} of shape {shape} has more than {MAX_ELEMENTS} elements")
    shapes[name] = shape

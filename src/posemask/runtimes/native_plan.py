"""From a `Graph` to the plan that `posemask._engine` runs: what is folded, what is fused, how maps are laid out.

Three passes, each from a list of operations to a shorter one:

1. `_read`: one operation per node. Paddings before a convolution become its own padding, "same" becomes numbers,
   weights are widened to float32.
2. `_fold`: activations, residual additions and channel scales move into the operation that makes their input.
3. `_fuse`: 1x1 -> depthwise -> 1x1 becomes one block, so that the wide tensors in between never leave the cache; a
   chain of resizes and blocks on thin maps (the mask's decoder) becomes one step that streams rows through all of it.

Then `build` gives every value a map. Feature maps lie in blocks of 16 channels (8 where there are no more), inputs,
outputs and everything that is reshaped lie plain (NHWC); `rearrange` steps lead from one to the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelFileError
from ..networks.graph import Graph, Node
from ..networks.mapped import drop_pages
from ..networks.operators import same_padding

__all__ = ["build"]

Floats = npt.NDArray[np.float32]
ARITHMETIC = ("add", "sub", "mul", "maximum", "minimum")
ACTIVATIONS = ("relu", "relu6", "hard_swish")
MOST_KERNEL_ROWS = 64  # of a depthwise convolution, as in csrc/engine/kernels.h


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Weights of a convolution as the graph has them: dense (O, KH, KW, I), depthwise (1, KH, KW, C)."""

    weights: npt.NDArray[Any]
    bias: Floats | None
    activation: str
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)

    @property
    def pointwise(self) -> bool:
        return self.weights.shape[1:3] == (1, 1) and self.stride == (1, 1) and self.pad == (0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One step to be: what it is, its input, its output, and what was folded into it."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    layers: tuple[Layer | None, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    residual: str | None = None
    after: str = "none"
    scale: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.inputs, *(name for name in (self.residual, self.scale) if name is not None))


DROP_FROM = 2**18
"""Weights of so many bytes leave the memory of their mapped file once they are copied; fewer are not worth it."""


def build(engine: Any, graph: Graph, threads: int) -> Any:
    """The finished `_engine.Plan` of a graph, for one picture. Raises `ModelFileError` for what the engine lacks."""
    operations = _fuse(_fold(_read(graph), graph), graph)
    plan = engine.Plan(threads)
    _Writer(engine, plan, graph, operations).write()
    plan.finish()
    return plan


def _unsupported(node: Node, why: str) -> ModelFileError:
    return ModelFileError(
        f"the native engine cannot run {node.op} that makes {node.output!r}: {why}; use another runtime"
    )


# --- 1. read -------------------------------------------------------------------------------------------------------


def _read(graph: Graph) -> list[Operation]:
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    folded_pads = {
        node.output: node
        for node in graph.nodes
        if node.op == "pad"
        and node.output not in graph.outputs
        and node.attributes["paddings"][3:] == ((0, 0),)
        and all(_takes_padding(user, node.output) for user in users[node.output])
    }
    return [_read_node(graph, node, folded_pads) for node in graph.nodes if node.output not in folded_pads]


def _takes_padding(node: Node, name: str) -> bool:
    return (
        node.op in ("conv2d", "depthwise_conv2d") and node.attributes["padding"] == "valid" and node.inputs[0] == name
    )


def _read_node(graph: Graph, node: Node, folded_pads: dict[str, Node]) -> Operation:
    a = node.attributes
    if node.op in ("conv2d", "depthwise_conv2d"):
        pad_node = folded_pads.get(node.inputs[0])
        source = pad_node.inputs[0] if pad_node else node.inputs[0]
        weights = graph.constants[node.inputs[1]]
        bias = _widened(graph.constants[node.inputs[2]]) if len(node.inputs) > 2 else None
        h, w = graph.shapes[source][1:3]
        if pad_node:
            pad = (pad_node.attributes["paddings"][1][0], pad_node.attributes["paddings"][2][0])
        elif a["padding"] == "same":
            pad = (
                same_padding(h, weights.shape[1], a["strides"][0], a["dilations"][0])[0],
                same_padding(w, weights.shape[2], a["strides"][1], a["dilations"][1])[0],
            )
        else:
            pad = (0, 0)
        if node.op == "depthwise_conv2d" and weights.shape[3] != graph.shapes[source][3]:
            raise _unsupported(node, "it makes several channels of each")
        if node.op == "depthwise_conv2d" and weights.shape[1] > MOST_KERNEL_ROWS:
            raise _unsupported(node, f"its kernel has more than {MOST_KERNEL_ROWS} rows")
        layer = Layer(weights, bias, a["activation"], a["strides"], a["dilations"], pad)
        kind = "depthwise" if node.op == "depthwise_conv2d" else "pointwise" if layer.pointwise else "convolution"
        return Operation(kind, (source,), node.output, (layer,))
    if node.op == "transposed_conv2d":
        weights = graph.constants[node.inputs[1]]
        bias = (
            _widened(graph.constants[node.inputs[2]])
            if len(node.inputs) > 2
            else np.zeros(weights.shape[0], np.float32)
        )
        if weights.shape[1:3] != a["strides"] or weights.shape[1] != weights.shape[2]:
            raise _unsupported(node, "the kernel is not its stride")
        size = weights.shape[1]
        spread = weights.transpose(1, 2, 0, 3).reshape(-1, 1, 1, weights.shape[3])
        layer = Layer(spread, np.tile(bias, size * size), a["activation"])
        return Operation("upsample", node.inputs[:1], node.output, (layer,), {"block": size})
    if node.op == "average_pool" and _is_mean(graph, node):
        return Operation("mean", node.inputs, node.output, attributes={"axes": (1, 2)})
    return Operation(node.op, node.inputs, node.output, (), dict(a), after=a.get("activation", "none"))


def _is_mean(graph: Graph, node: Node) -> bool:
    """Whether an average pool's only window is the whole map."""
    a = node.attributes
    whole = a["window"] == graph.shapes[node.inputs[0]][1:3] and graph.shapes[node.output][1:3] == (1, 1)
    return whole and a["activation"] == "none" and (a["padding"] == "valid" or a["strides"] == a["window"])


def _widened(constant: npt.NDArray[Any]) -> Floats:
    """The float32 form. Weights are widened only while they are packed, or loading would take twice the memory."""
    widened = np.ascontiguousarray(constant, dtype=np.float32)
    if constant.nbytes >= DROP_FROM:
        drop_pages(constant)
    return widened


# --- 2. fold -------------------------------------------------------------------------------------------------------


def _fold(operations: list[Operation], graph: Graph) -> list[Operation]:
    """Move what follows an operation into it, where nobody else reads what lies between."""
    for rule in (_fold_activation, _fold_residual, _fold_activation, _fold_scale, _fold_mean):
        operations = _apply(rule, operations, graph)
    return operations


def _apply(rule: Any, operations: list[Operation], graph: Graph) -> list[Operation]:
    """Rewrite pairs (an operation and the one whose output only it reads) by a rule, until no pair is left."""
    uses = _uses(operations, graph)
    made: dict[str, Operation] = {}  # in running order
    for operation in operations:
        merged = None
        for name in operation.inputs:
            if name in made and uses[name] == 1:
                merged = rule(made[name], operation, graph)
            if merged is not None:
                del made[name]
                break
        operation = merged or operation
        made[operation.output] = operation
    return list(made.values())


def _uses(operations: Iterable[Operation], graph: Graph) -> Counter[str]:
    uses = Counter(name for operation in operations for name in operation.reads)
    uses.update(graph.outputs)
    return uses


def _fold_activation(maker: Operation, user: Operation, graph: Graph) -> Operation | None:
    if user.kind not in ACTIVATIONS or maker.after != "none":
        return None
    if maker.kind in ("pointwise", "convolution", "depthwise") and maker.residual is None:
        layer = maker.layers[0]
        if layer is None or layer.activation != "none":
            return None
        return replace(maker, output=user.output, layers=(replace(layer, activation=user.kind),))
    if maker.residual is not None or maker.kind in (*ARITHMETIC, "max_pool", "average_pool"):
        return replace(maker, output=user.output, after=user.kind)
    return None


def _fold_residual(maker: Operation, user: Operation, graph: Graph) -> Operation | None:
    """Add another map. The other map is read when the sum is made, so the operation moves to the sum's place."""
    takers = ("pointwise", "depthwise", "resize_bilinear", "mul")
    if user.kind != "add" or maker.kind not in takers or maker.residual or maker.after != "none":
        return None
    others = [name for name in user.inputs if name != maker.output]
    if len(others) != 1 or graph.shapes[others[0]] != graph.shapes[maker.output]:
        return None
    if others[0] in graph.constants:
        return None
    return replace(maker, output=user.output, residual=others[0], after=user.after)


def _fold_scale(maker: Operation, user: Operation, graph: Graph) -> Operation | None:
    """Multiply by one factor for each channel, before a 1x1 convolution."""
    if maker.kind != "mul" or maker.after != "none" or maker.residual or user.kind != "pointwise":
        return None
    if user.inputs != (maker.output,) or user.scale is not None:
        return None
    whole, scale = maker.inputs
    if graph.shapes[whole][1:3] == (1, 1):
        whole, scale = scale, whole
    if (
        scale in graph.constants
        or graph.shapes[scale][1:3] != (1, 1)
        or graph.shapes[whole] != graph.shapes[maker.output]
    ):
        return None
    return replace(user, inputs=(whole,), scale=scale)


def _fold_mean(maker: Operation, user: Operation, graph: Graph) -> Operation | None:
    """The mean of a sum that nobody else reads."""
    if maker.kind != "add" or maker.after != "none" or user.kind != "mean" or user.residual is not None:
        return None
    first, second = maker.inputs
    if first in graph.constants or second in graph.constants or graph.shapes[first] != graph.shapes[second]:
        return None
    return replace(user, inputs=(first,), residual=second)


# --- 3. fuse -------------------------------------------------------------------------------------------------------


def _fuse(operations: list[Operation], graph: Graph) -> list[Operation]:
    as_blocks = [
        replace(op, kind="block", layers=(None, op.layers[0], None)) if op.kind == "depthwise" else op
        for op in operations
    ]
    for rule in (_fuse_expand, _fuse_project):
        as_blocks = _apply(rule, as_blocks, graph)
    return _fuse_chains(as_blocks, graph)


def _fuse_expand(maker: Operation, user: Operation, graph: Graph) -> Operation | None:
    if user.kind != "block" or maker.residual is not None or maker.scale is not None:
        return None
    expand = maker.layers[0] if maker.kind in ("pointwise", "convolution") else None
    depthwise = user.layers[1]
    if expand is None or depthwise is None or depthwise.weights.shape[1] > 7:
        return None
    if maker.kind == "convolution":  # only the first layer of a network, whose input is plain
        h, w, c = graph.shapes[maker.inputs[0]][1:]
        (stride_h, stride_w) = expand.stride
        if c > 4 or graph.shapes[maker.output][1:3] != (-(-h // stride_h), -(-w // stride_w)):
            return None
    return replace(user, inputs=maker.inputs, layers=(expand, depthwise, None))


def _fuse_project(maker: Operation, user: Operation, graph: Graph) -> Operation | None:
    if maker.kind != "block" or maker.layers[2] is not None or user.kind != "pointwise" or user.scale is not None:
        return None
    if user.inputs != (maker.output,) or maker.residual is not None:
        return None
    return replace(user, kind="block", inputs=maker.inputs, layers=(*maker.layers[:2], user.layers[0]))


THIN = 8  # channels
LONGEST_CHAIN = 8


def _fuse_chains(operations: list[Operation], graph: Graph) -> list[Operation]:
    """Join thin operations that follow each other, where nobody else reads what lies between."""
    uses = _uses(operations, graph)
    made: dict[str, Operation] = {}
    for operation in operations:
        maker = made.get(operation.inputs[0]) if operation.inputs else None
        if _is_link(operation, graph):
            members = [operation]
            read = 2 if operation.residual == operation.inputs[0] else 1  # a block reads its input twice
            if maker is not None and maker.kind == "chain" and uses[maker.output] == read:
                before = maker.attributes["members"]
                if len(before) < LONGEST_CHAIN and before[-1].kind != "convolution":
                    members = [*before, operation]
                    del made[maker.output]
            inputs = (*members[0].inputs, *(m.residual for m in members if m.kind == "resize_bilinear" and m.residual))
            operation = Operation("chain", inputs, operation.output, (), {"members": members})
        made[operation.output] = operation
    return [_without_short_chain(operation) for operation in made.values()]


def _without_short_chain(operation: Operation) -> Operation:
    members = operation.attributes.get("members", ())
    return members[0] if len(members) == 1 and members[0].kind != "convolution" else operation


def _is_link(op: Operation, graph: Graph) -> bool:
    shape, source = graph.shapes[op.output], graph.shapes[op.inputs[0]]
    if len(shape) != 4 or len(source) != 4 or shape[3] > THIN or source[3] > THIN:
        return False
    if op.kind == "resize_bilinear":
        return True
    if op.kind == "block":
        expand, depthwise, project = op.layers
        if expand is not None or depthwise is None or project is None or op.residual not in (None, op.inputs[0]):
            return False
        return _is_plain_3x3(depthwise)
    return op.kind == "convolution" and shape[3] == 1 and op.layers[0] is not None and _is_plain_3x3(op.layers[0])


def _is_plain_3x3(layer: Layer) -> bool:
    return (
        layer.weights.shape[1:3] == (3, 3)
        and layer.stride == (1, 1)
        and layer.dilation == (1, 1)
        and layer.pad == (1, 1)
    )


# --- 4. write ------------------------------------------------------------------------------------------------------


class _Writer:
    """Gives every value a map and every operation its steps."""

    def __init__(self, engine: Any, plan: Any, graph: Graph, operations: list[Operation]) -> None:
        self.engine, self.plan, self.graph, self.operations = engine, plan, graph, operations
        self.blocked: dict[str, int] = {}
        self.plain: dict[str, int] = {}

    def write(self) -> None:
        for name in (*self.graph.inputs, *self.graph.outputs):
            self.plain[name] = self._new_plain(name)
            if self._hwc(name)[2] == THIN:
                self.blocked[name] = self.plain[name]
        for name in self.graph.inputs:
            self.plan.input(self.plain[name])
        for operation in self.operations:
            getattr(self, f"_{operation.kind}", self._no_such)(operation)
            blocked, plain = (maps.get(operation.output) for maps in (self.blocked, self.plain))
            if operation.output in self.graph.outputs and blocked is not None and blocked != plain:
                self.plan.rearrange(blocked, plain)
        for name in self.graph.outputs:
            self.plan.output(self.plain[name])

    # maps

    def _hwc(self, name: str) -> tuple[int, int, int]:
        shape = self.graph.shapes[name][1:]
        if len(shape) > 3 or not shape:
            raise ModelFileError(f"the native engine needs 2 to 4 dimensions, {name!r} has {len(shape) + 1}")
        return (1,) * (3 - len(shape)) + tuple(shape)  # type: ignore[return-value]

    def _new_plain(self, name: str) -> int:
        """A plain map; one of exactly 8 channels is a blocked one, too."""
        h, w, c = self._hwc(name)
        return int(self.plan.map(h, w, c, 8 if c == THIN else 0))

    def _new_blocked(self, name: str) -> int:
        if name in self.blocked:  # an output that is both
            return self.blocked[name]
        h, w, c = self._hwc(name)
        self.blocked[name] = int(self.plan.map(h, w, c, 8 if c <= 8 else 16))
        return self.blocked[name]

    def _read_blocked(self, name: str) -> int:
        if name not in self.blocked:
            self._check_made(name)
            self.plan.rearrange(self.plain[name], self._new_blocked(name))
        return self.blocked[name]

    def _constant(self, name: str, hwc: tuple[int, int, int]) -> int:
        """A map of a constant, spread to a whole map or one pixel."""
        h, w, c = hwc
        spread = np.broadcast_to(np.asarray(self.graph.constants[name], np.float32), (1, h, w, c))
        constant = int(self.plan.map(h, w, c, 8 if c <= 8 else 16))
        self.plan.constant(constant, np.ascontiguousarray(spread))
        return constant

    def _check_made(self, name: str) -> None:
        if name in self.graph.constants:
            raise ModelFileError(f"the native engine cannot read the constant {name!r} as a map; use another runtime")

    def _read_plain(self, name: str) -> int:
        if name not in self.plain:
            self._check_made(name)
            self.plain[name] = self._new_plain(name)
            self.plan.rearrange(self.blocked[name], self.plain[name])
        return self.plain[name]

    def _plain_output(self, name: str) -> int:
        """The plain map to write a value into: the caller's, or one of our own."""
        if name not in self.plain:
            self.plain[name] = self._new_plain(name)
        return self.plain[name]

    def _optional(self, name: str | None) -> int:
        return -1 if name is None else self._read_blocked(name)

    def _dense(self, layer: Layer) -> Any:
        return self.engine.dense(
            _widened(layer.weights), layer.bias, layer.activation, layer.stride, layer.dilation, layer.pad
        )

    # operations, by kind

    def _no_such(self, op: Operation) -> None:
        raise ModelFileError(f"the native engine cannot run {op.kind} that makes {op.output!r}; use another runtime")

    def _pointwise(self, op: Operation) -> None:
        layer = op.layers[0]
        assert layer is not None
        self.plan.pointwise(
            self._dense(layer),
            self._read_blocked(op.inputs[0]),
            self._new_blocked(op.output),
            self._optional(op.residual),
            op.after,
            self._optional(op.scale),
        )

    def _convolution(self, op: Operation) -> None:
        layer = op.layers[0]
        assert layer is not None
        self.plan.convolution(self._dense(layer), self._plain_or_blocked(op.inputs[0]), self._new_blocked(op.output))

    def _plain_or_blocked(self, name: str) -> int:
        """Few channels are read plain: their neighbours in a row make one long run."""
        plain = name in self.graph.inputs and self._hwc(name)[2] <= 4
        return self.plain[name] if plain else self._read_blocked(name)

    def _depthwise(self, layer: Layer) -> Any:
        return self.engine.depthwise(
            _widened(layer.weights), layer.bias, layer.activation, layer.stride, layer.dilation, layer.pad
        )

    def _chain(self, op: Operation) -> None:
        links = []
        for member in op.attributes["members"]:
            h, w, c = self._hwc(member.output)
            link_map = self.plan.map(h, w, c, 8)  # names a shape; nothing is ever stored in it
            if member.kind == "resize_bilinear":
                places = self._places(member)
                links.append(self.engine.resize_link(link_map, self._optional(member.residual), *places, member.after))
            elif member.kind == "block":
                depthwise, project = self._depthwise(member.layers[1]), self._dense(member.layers[2])
                links.append(
                    self.engine.block_link(link_map, depthwise, project, member.residual is not None, member.after)
                )
            else:
                links.append(self.engine.last_link(link_map, self._dense(member.layers[0])))
        source = self._read_blocked(op.inputs[0])
        ends_plain = op.attributes["members"][-1].kind == "convolution"
        self.plan.chain(source, self._plain_output(op.output) if ends_plain else self._new_blocked(op.output), links)

    def _block(self, op: Operation) -> None:
        expand, depthwise, project = op.layers
        assert depthwise is not None
        source = op.inputs[0]
        stem = expand is not None and not expand.pointwise
        self.plan.block(
            None if expand is None else self._dense(expand),
            self._depthwise(depthwise),
            None if project is None else self._dense(project),
            self._plain_or_blocked(source) if stem else self._read_blocked(source),
            self._new_blocked(op.output),
            self._optional(op.residual),
            op.after,
        )

    def _upsample(self, op: Operation) -> None:
        layer = op.layers[0]
        assert layer is not None
        h, w, _ = self._hwc(op.inputs[0])
        channels = layer.weights.shape[0]
        spread = self.plan.map(h, w, channels, 8 if channels <= 8 else 16)
        self.plan.pointwise(self._dense(layer), self._read_blocked(op.inputs[0]), spread)
        self._spread(op, spread, op.attributes["block"])

    def _depth_to_space(self, op: Operation) -> None:
        self._spread(op, self._read_blocked(op.inputs[0]), op.attributes["block"])

    def _spread(self, op: Operation, source: int, size: int) -> None:
        if self._hwc(op.output)[2] == 1:  # one channel: plain
            self.plan.depth_to_space(source, self._plain_output(op.output), size)
        else:
            self.plan.depth_to_space(source, self._new_blocked(op.output), size)

    def _arithmetic(self, op: Operation) -> None:
        whole, one = self._hwc(op.output), (1, 1, self._hwc(op.output)[2])
        maps = []
        for name in op.inputs:
            if name in self.graph.constants:
                shape = self.graph.constants[name].shape
                per_channel = math.prod(shape[:-1]) == 1 and name == op.inputs[1]
                maps.append(self._constant(name, one if per_channel else whole))
            else:
                maps.append(self._read_blocked(name))
        shapes = [whole if name in self.graph.constants else self._hwc(name) for name in op.inputs]
        if shapes[0] != whole and op.kind != "sub":
            shapes.reverse()
            maps.reverse()
        if shapes[0] != whole or shapes[1] not in (whole, one):
            both = f"{shapes[0]} and {shapes[1]} by {op.kind} ({op.output!r})"
            raise ModelFileError(f"the native engine cannot combine {both}; use another runtime")
        self.plan.arithmetic(op.kind, *maps, self._optional(op.residual), self._new_blocked(op.output), op.after)

    _add = _sub = _mul = _maximum = _minimum = _arithmetic

    def _function(self, op: Operation) -> None:
        source = op.inputs[0]
        if source in self.plain and source not in self.blocked:
            self.plan.activation(op.kind, self.plain[source], self._plain_output(op.output))
        else:
            self.plan.activation(op.kind, self._read_blocked(source), self._new_blocked(op.output))

    _relu = _relu6 = _hard_swish = _sigmoid = _function

    def _pool(self, op: Operation) -> None:
        a, (h, w, _) = op.attributes, self._hwc(op.inputs[0])
        pad = (0, 0)
        if a["padding"] == "same":
            pad = (
                same_padding(h, a["window"][0], a["strides"][0])[0],
                same_padding(w, a["window"][1], a["strides"][1])[0],
            )
        source = self._read_blocked(op.inputs[0])
        average = op.kind == "average_pool"
        self.plan.pool(average, source, self._new_blocked(op.output), a["window"], a["strides"], pad, op.after)

    _max_pool = _average_pool = _pool

    def _mean(self, op: Operation) -> None:
        if tuple(op.attributes["axes"]) != (1, 2) or len(self.graph.shapes[op.inputs[0]]) != 4:
            self._no_such(op)
        self.plan.mean(self._read_blocked(op.inputs[0]), self._optional(op.residual), self._new_blocked(op.output))

    def _resize_bilinear(self, op: Operation) -> None:
        source, plus = self._read_blocked(op.inputs[0]), self._optional(op.residual)
        self.plan.resize(source, plus, self._new_blocked(op.output), *self._places(op), op.after)

    def _places(self, op: Operation) -> tuple[list[int], list[float]]:
        a, (h, w, _) = op.attributes, self._hwc(op.inputs[0])
        height, width = a["size"]
        rows, downs = _resize_places(h, height, a["half_pixel"], a["align_corners"])
        columns, rights = _resize_places(w, width, a["half_pixel"], a["align_corners"])
        return rows + columns, downs + rights

    def _pad(self, op: Operation) -> None:
        paddings = op.attributes["paddings"]
        if len(paddings) != 4 or paddings[3][0]:
            self._no_such(op)
        self.plan.pad(self._read_blocked(op.inputs[0]), self._new_blocked(op.output), paddings[1][0], paddings[2][0])

    def _reshape(self, op: Operation) -> None:
        source = self._read_plain(op.inputs[0])
        self._copy(op, source, 0, self._size(op.output), 0, 1)

    def _concat(self, op: Operation) -> None:
        if op.after != "none":
            self._no_such(op)
        axis, shape = op.attributes["axis"], self.graph.shapes[op.output]
        run = math.prod(shape[axis:])
        offset = 0
        for name in op.inputs:
            part = math.prod(self.graph.shapes[name][axis:])
            self._copy(op, self._read_plain(name), offset, part, run, math.prod(shape[1:axis]))
            offset += part

    def _copy(self, op: Operation, source: int, offset: int, run: int, stride: int, count: int) -> None:
        self.plan.copy(source, self._plain_output(op.output), offset, run, stride, count)

    def _size(self, name: str) -> int:
        return math.prod(self.graph.shapes[name][1:])


def _resize_places(size: int, wanted: int, half_pixel: bool, align_corners: bool) -> tuple[list[int], list[float]]:
    """For each wanted pixel of a dimension: the two source pixels, and how far it lies towards the second."""
    scale = np.float32(size) / np.float32(wanted)
    if align_corners and wanted > 1:
        scale = np.float32(size - 1) / np.float32(wanted - 1)
    places = np.arange(wanted, dtype=np.float32)
    source = (places + np.float32(0.5)) * scale - np.float32(0.5) if half_pixel else places * scale
    first = np.maximum(np.floor(source), 0).astype(int)
    first = np.minimum(first, size - 1)
    second = np.minimum(np.floor(source).astype(int) + 1, size - 1)
    fraction = source - np.floor(source)
    pairs = np.stack([first, second], axis=1)
    return pairs.ravel().tolist(), fraction.tolist()

"""From a graph to fused steps: which operators run together in one kernel.

What is fused, and why: these networks are made of thin tensors (8 to 64 channels) that are expanded sixfold inside a
block and projected back. Run one by one, the operators move 15 to 134 MB a picture; with a block in one kernel the
expanded tensor never leaves the chip.

* A standalone activation joins the operator before it; a `pad` joins the convolution behind it.
* expand 1x1 -> depthwise -> project 1x1 (-> add the input) becomes one `Block`; so does depthwise -> project, a first
  3x3 convolution of the picture -> depthwise -> project, and a squeeze-and-excite gate between depthwise and project.
* A 1x1 convolution without activation commutes with bilinear enlargement (the weights of a pixel's neighbours sum to
  one), so it runs before it, on a quarter of the pixels; enlargement and adding a skip connection are one step.
* mean -> dense -> relu -> dense -> sigmoid is one `Squeeze`; the product with it joins the step that reads it.
* A 2x2 convolution of a 2x2 map is a dense layer of the flattened map.
* Two separable residual steps on 8 channels behind an enlargement, and a last 3x3 convolution to one channel, are one
  `Refine`: the end of the mask decoder, whose maps are the largest of all.
* Separable residual layers on maps of at most 16 pixels, with the 2x2 maximum beside a stride, are one `Tower`.
* Anything else stays as it is (`Plain`) and runs with torch's operators.

Every step can be run by `posemask.gpu.reference`, which is how fusing is tested without a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..networks.graph import Graph, Shape
from ..networks.operators import same_padding

__all__ = [
    "Block",
    "Dense",
    "Depthwise",
    "Plain",
    "Plan",
    "Pointwise",
    "Refine",
    "Squeeze",
    "Stem",
    "Step",
    "Upsample",
    "plan",
]

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """y = activation(x @ weights + bias) over channels: weights (inputs, outputs), bias (outputs,)."""

    weights: Weights
    bias: Weights
    activation: str = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Depthwise:
    """weights (K, K, C), bias (C,), stride, zeros before the first row and column."""

    weights: Weights
    bias: Weights
    stride: int
    before: tuple[int, int]
    activation: str


@dataclass(frozen=True, slots=True, eq=False)
class Stem:
    """A 3x3 convolution with stride 2 of a picture: weights (3, 3, C_in, C_out), bias (C_out,), zeros before."""

    input: str
    output: str
    weights: Weights
    bias: Weights
    before: tuple[int, int]
    activation: str


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """[expand] -> depthwise -> [gate] -> [project] -> [residual], see kernels/block.cu.

    `stem` replaces `expand` where the block begins with the picture. `residual` is "" (none), "input" (the block's
    input is added behind the projection, then `activation`) or "expanded" (the depthwise step's input is added to its
    output). `shuffle`: the projection's four columns are the 2x2 sub-pixels of one channel.
    """

    input: str
    output: str
    depthwise: Depthwise
    expand: Dense | None = None
    stem: Stem | None = None
    gate: tuple[Dense, Dense] | None = None
    project: Dense | None = None
    residual: str = ""
    activation: str = "none"
    shuffle: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise:
    """activation(dense(gate * x) [+ residual]); `flatten` takes a whole map as one row."""

    input: str
    output: str
    dense: Dense
    gate: str = ""
    residual: str = ""
    activation: str = "none"
    flatten: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Squeeze:
    """sigmoid of one or two dense layers of the mean of x (+ low enlarged twofold, which has the mean of low)."""

    input: str
    output: str
    first: Dense
    second: Dense | None
    low: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Upsample:
    """activation(low enlarged twofold, half-pixel centres) + gate * skip."""

    input: str
    output: str
    skip: str = ""
    gate: str = ""
    activation: str = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Refine:
    """The end of a mask decoder on 8 channels, see kernels/refine.cu.

    The upsampled input [+ skip], two separable residual blocks (whose `input` and `output` mean nothing any more), and
    a last 3x3 convolution to one channel: weights (3, 3, 8), bias (1,).
    """

    input: str
    output: str
    blocks: tuple[Block, Block]
    last: tuple[Weights, Weights] | None
    skip: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Tower:
    """Separable residual layers on maps of at most 16 pixels, see kernels/tower.cu; run in float32.

    `layers` are blocks whose output is added to their input, or with stride 2 to the input's 2x2 maxima, then clipped
    to [0, 6].
    """

    input: str
    output: str
    layers: tuple[Block, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """An operator of the graph as it is: see `posemask.networks.operators`; weights among the inputs are constants."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    constants: Mapping[str, Weights] = field(default_factory=dict)


Step = Block | Pointwise | Squeeze | Upsample | Stem | Refine | Tower | Plain


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Steps in running order, and the shapes (without the batch) of the values between them."""

    steps: tuple[Step, ...]
    input: str
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape]


def inputs_of(step: Step) -> tuple[str, ...]:
    """Names of the values that a step reads."""
    if isinstance(step, Plain):
        return tuple(name for name in step.inputs if name not in step.constants)
    names = [step.input]
    for attribute in ("gate", "residual", "skip", "low"):
        name = getattr(step, attribute, "")
        if isinstance(name, str) and name and not isinstance(step, Block):
            names.append(name)
    return tuple(names)


# --- a working copy of the graph -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Op:
    """An operator while the plan is made: `activation` collects what is fused behind it."""

    kind: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]
    activation: str = "none"


_ACTIVATIONS = ("relu", "relu6", "hard_swish", "sigmoid")


class _Work:
    """The operators by the value that they make, and who reads it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = dict(graph.shapes)
        self.ops: dict[str, _Op] = {}
        for node in graph.nodes:
            attributes = dict(node.attributes)
            activation = attributes.pop("activation", "none")
            self.ops[node.output] = _Op(node.op, list(node.inputs), node.output, attributes, activation)

    def readers(self, name: str) -> list[_Op]:
        return [op for op in self.ops.values() if name in op.inputs]

    def only_reader(self, name: str) -> _Op | None:
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and name not in self.graph.outputs else None

    def constant(self, name: str) -> Weights:
        return np.asarray(self.graph.constants[name], dtype=np.float32)

    def weights_of(self, op: _Op) -> tuple[Weights, Weights]:
        weights = self.constant(op.inputs[1])
        channels = weights.shape[3] if op.kind == "depthwise_conv2d" else weights.shape[0]
        bias = self.constant(op.inputs[2]) if len(op.inputs) > 2 else np.zeros(channels, np.float32)
        return weights, bias

    def before(self, op: _Op) -> tuple[int, int] | None:
        """Zeros before the first row and column of a convolution; None if they are not those of a plain frame."""
        weights, height, width = self.shapes[op.inputs[1]], *self.shapes[op.inputs[0]][1:3]
        if "before" in op.attributes:
            y, x = op.attributes["before"]
        elif op.attributes["padding"] == "same":
            y = same_padding(height, weights[1], op.attributes["strides"][0])[0]
            x = same_padding(width, weights[2], op.attributes["strides"][1])[0]
        else:
            y = x = 0
        return y, x

    def is_dense(self, op: _Op | None) -> bool:
        return (
            op is not None
            and op.kind == "conv2d"
            and self.shapes[op.inputs[1]][1:3] == (1, 1)
            and op.attributes["strides"] == (1, 1)
        )

    def dense(self, op: _Op) -> Dense:
        weights, bias = self.weights_of(op)
        return Dense(np.ascontiguousarray(weights.reshape(weights.shape[0], -1).T), bias, op.activation)


def _is_pool_of_all(work: _Work, op: _Op) -> bool:
    """Whether the operator takes the mean of a whole map."""
    if op.kind == "mean":
        return bool(op.attributes["axes"] == (1, 2) and op.attributes["keep_dims"])
    size = work.shapes[op.inputs[0]][1:3]
    return op.kind == "average_pool" and bool(op.attributes["window"] == size == op.attributes["strides"])


def _fold_activations(work: _Work) -> None:
    for op in list(work.ops.values()):
        if op.kind not in _ACTIVATIONS:
            continue
        maker = work.ops.get(op.inputs[0])
        if maker and maker.activation == "none" and work.only_reader(maker.output) is op:
            del work.ops[maker.output]
            work.ops[op.output] = replace(maker, output=op.output, activation=op.kind)
    work.ops = {op.output: op for op in work.ops.values()}


def _fold_paddings(work: _Work) -> None:
    for op in list(work.ops.values()):
        if op.kind != "pad":
            continue
        paddings, readers = op.attributes["paddings"], work.readers(op.output)
        spatial = paddings[3] == (0, 0) if len(paddings) == 4 else False
        if not spatial or op.output in work.graph.outputs or not readers:
            continue
        if any(r.kind not in ("conv2d", "depthwise_conv2d") or r.attributes["padding"] != "valid" for r in readers):
            continue
        for reader in readers:
            reader.inputs[0] = op.inputs[0]
            reader.attributes["before"] = (paddings[1][0], paddings[2][0])
            reader.attributes["after"] = (paddings[1][1], paddings[2][1])
        del work.ops[op.output]


def _commute_enlargement(work: _Work) -> None:
    """Resize -> 1x1 convolution becomes 1x1 convolution -> resize with the convolution's activation."""
    for op in list(work.ops.values()):
        if op.kind != "resize_bilinear":
            continue
        reader = work.only_reader(op.output)
        if reader is None or not work.is_dense(reader) or not _is_twofold(work, op):
            continue
        low, channels = op.inputs[0], work.shapes[reader.output][3]
        between = reader.output + ".before_enlargement"
        work.shapes[between] = (*work.shapes[low][:3], channels)
        ops = []
        for other in work.ops.values():
            if other is op:
                ops.append(_Op("conv2d", [low, *reader.inputs[1:]], between, dict(reader.attributes)))
            elif other is reader:
                ops.append(_Op("resize_bilinear", [between], reader.output, dict(op.attributes), reader.activation))
            else:
                ops.append(other)
        work.ops = {other.output: other for other in ops}


def _is_twofold(work: _Work, op: _Op) -> bool:
    _, height, width, _ = work.shapes[op.inputs[0]]
    return bool(op.attributes["half_pixel"]) and op.attributes["size"] == (2 * height, 2 * width)


# --- steps -----------------------------------------------------------------------------------------------------------


def plan(graph: Graph) -> Plan:
    """Fuse a graph's operators into steps."""
    work = _Work(graph)
    _fold_activations(work)
    _fold_paddings(work)
    _commute_enlargement(work)
    taken: dict[str, list[Step]] = {}  # steps by the output of the last operator they hold
    used: set[str] = set()  # outputs of operators inside a step

    def emit(step: Step, operators: Iterable[_Op]) -> None:
        outputs = [op.output for op in operators]
        used.update(outputs)
        taken.setdefault(outputs[-1], []).append(step)

    for op in list(work.ops.values()):
        if op.kind == "depthwise_conv2d" and op.output not in used:
            _match_block(work, op, used, emit)
    for op in list(work.ops.values()):
        if op.output not in used:
            _match_squeeze(work, op, used, emit)
    for op in list(work.ops.values()):
        if op.output not in used:
            _match_enlargement(work, op, used, emit)
    for op in list(work.ops.values()):
        if op.output not in used:
            _match_dense(work, op, used, emit)

    steps: list[Step] = []
    for op in work.ops.values():
        steps.extend(taken.get(op.output, ()))
        if op.output not in used:
            steps.append(_plain(work, op))
    shapes = {name: shape[1:] for name, shape in work.shapes.items() if name not in graph.constants}
    ordered = _join_refinements(_sorted(steps, graph.inputs[0]), shapes, graph.outputs)
    ordered = _join_towers(ordered, shapes, graph.outputs)
    return Plan(tuple(ordered), graph.inputs[0], graph.outputs, shapes)


def _sorted(steps: list[Step], given: str) -> list[Step]:
    """The same steps, each behind those whose values it reads (fusing may have moved a reader before a maker)."""
    known, waiting, order = {given}, list(steps), []
    while waiting:
        ready = next(step for step in waiting if known.issuperset(inputs_of(step)))
        waiting.remove(ready)
        known.add(ready.output)
        order.append(ready)
    return order


def _join_refinements(steps: list[Step], shapes: Mapping[str, Shape], outputs: tuple[str, ...]) -> list[Step]:
    """Put enlargement, two separable blocks and a last convolution together where they are a mask decoder's end."""

    def only_reader(name: str) -> Step | None:
        readers = [step for step in steps if name in inputs_of(step)]
        return readers[0] if len(readers) == 1 and name not in outputs else None

    for first in list(steps):
        if not isinstance(first, Upsample) or first.gate or first.activation != "none" or shapes[first.output][2] != 8:
            continue
        second = only_reader(first.output)
        third = only_reader(second.output) if second else None
        if not (
            isinstance(second, Block) and isinstance(third, Block) and _is_refining(second) and _is_refining(third)
        ):
            continue
        if (second.activation, second.depthwise.activation) != (third.activation, third.depthwise.activation):
            continue
        last, weights = only_reader(third.output), None
        if (
            isinstance(last, Plain)
            and last.op == "conv2d"
            and len(last.inputs) == 3
            and last.attributes["activation"] == "none"
        ):
            kernel = last.constants[last.inputs[1]]
            if (
                kernel.shape == (1, 3, 3, 8)
                and last.attributes["padding"] == "same"
                and last.attributes["strides"] == (1, 1)
            ):
                weights = (kernel[0], last.constants[last.inputs[2]])
        joined = [first, second, third, *([last] if weights and last else [])]
        refine = Refine(first.input, joined[-1].output, (second, third), weights, first.skip)
        steps = [refine if step is joined[-1] else step for step in steps if step is joined[-1] or step not in joined]
    return steps


def _join_towers(steps: list[Step], shapes: Mapping[str, Shape], outputs: tuple[str, ...]) -> list[Step]:
    """Put chains of separable residual layers on the smallest maps together."""
    layers = {}  # by input: the block as a layer, the steps it stands for, and its result
    for step in steps:
        found = _layer(step, steps, shapes)
        if found:
            layers[found[0].input] = found
    starts = [name for name in layers if all(found[2] != name for found in layers.values())]
    for start in starts:
        chain, name = [], start
        while (
            name in layers
            and (name == start or name not in outputs)
            and shapes[layers[name][0].input][2] == shapes[start][2]
        ):
            chain.append(layers[name])
            name = layers[name][2]
        if len(chain) < 2:
            continue
        inside = [step for _, held, _ in chain for step in held]
        tower = Tower(start, name, tuple(layer for layer, _, _ in chain))
        steps = [tower if step is inside[-1] else step for step in steps if step is inside[-1] or step not in inside]
    return steps


def _layer(step: Step, steps: list[Step], shapes: Mapping[str, Shape]) -> tuple[Block, list[Step], str] | None:
    """A block as a tower's layer: itself, the steps that it stands for in running order, the name of its result."""
    if not isinstance(step, Block) or step.expand or step.stem or step.gate or step.project is None or step.shuffle:
        return None
    depthwise, (height, width, channels) = step.depthwise, shapes[step.input]
    inner = (
        depthwise.activation == "relu6"
        and step.project.activation == "none"
        and depthwise.weights.shape == (3, 3, channels)
        and step.project.weights.shape == (channels, channels)
        and channels % 32 == 0
        and height * width // depthwise.stride**2 <= 16
        and height * width * channels <= 64 * 288
    )
    if not inner:
        return None
    readers = [other for other in steps if step.input in inputs_of(other)]
    if depthwise.stride == 1:
        whole = (
            step.residual == "input" and step.activation == "relu6" and depthwise.before == (1, 1) and len(readers) == 1
        )
        return (step, [step], step.output) if whole else None
    if step.residual or depthwise.before != (0, 0) or len(readers) != 2 or height % 2 or width % 2:
        return None
    pool = next(
        (r for r in readers if isinstance(r, Plain) and r.op == "max_pool" and r.attributes["window"] == (2, 2)), None
    )
    add = next((r for r in steps if isinstance(r, Plain) and r.op == "add" and step.output in r.inputs), None)
    if (
        pool is None
        or add is None
        or set(add.inputs) != {pool.output, step.output}
        or add.attributes["activation"] != "relu6"
    ):
        return None
    return step, [other for other in steps if other in (step, pool, add)], add.output


def _is_refining(block: Block) -> bool:
    """Whether a block is x + dense(depthwise 3x3 (x)) on 8 channels."""
    plain = block.expand is None and block.stem is None and block.gate is None and block.residual == "input"
    depthwise, project = block.depthwise, block.project
    return (
        plain
        and project is not None
        and project.activation == "none"
        and project.weights.shape == (8, 8)
        and depthwise.weights.shape == (3, 3, 8)
        and depthwise.stride == 1
        and depthwise.before == (1, 1)
    )


def _plain(work: _Work, op: _Op) -> Plain:
    constants = {name: work.constant(name) for name in op.inputs if name in work.graph.constants}
    return Plain(op.kind, tuple(op.inputs), op.output, {**op.attributes, "activation": op.activation}, constants)


def _match_block(work: _Work, op: _Op, used: set[str], emit: Any) -> None:
    weights, bias = work.weights_of(op)
    kernel, stride = weights.shape[1:3], op.attributes["strides"]
    before, channels = work.before(op), weights.shape[3]
    fits = (
        kernel in ((3, 3), (5, 5))
        and stride in ((1, 1), (2, 2))
        and op.attributes["dilations"] == (1, 1)
        and channels % 8 == 0
        and work.shapes[op.inputs[0]][3] == channels
        and before is not None
    )
    if not fits:
        return
    assert before is not None
    operators = [op]
    depthwise = Depthwise(np.ascontiguousarray(weights[0]), bias, stride[0], before, op.activation)
    block = Block(op.inputs[0], op.output, depthwise)

    maker = work.ops.get(op.inputs[0])
    own = maker is not None and maker.output not in used and maker.output not in work.graph.outputs
    readers = work.readers(op.inputs[0])
    inner = own and len(readers) == 1
    # a + depthwise(a), where a is the expanded tensor, stays in the block.
    add = work.only_reader(op.output)
    doubled = (
        add is not None and add.kind == "add" and set(add.inputs) == {op.inputs[0], op.output} and stride == (1, 1)
    )
    if doubled and own and len(readers) == 2 and work.is_dense(maker) and add is not None and add.activation == "none":
        inner = True
    else:
        doubled = False
    if inner and maker is not None and work.is_dense(maker) and work.shapes[maker.inputs[0]][3] % 8 == 0:
        block = replace(block, input=maker.inputs[0], expand=work.dense(maker))
        operators.insert(0, maker)
    elif inner and maker is not None and stride == (1, 1) and _is_stem(work, maker):
        stem = _stem(work, maker)
        block = replace(block, input=stem.input, stem=stem)
        operators.insert(0, maker)
    if doubled and add is not None:
        block = replace(block, residual="expanded", output=add.output)
        operators.append(add)
        last = add
    else:
        last = op

    gate = _gate_after(work, last) if not doubled and math.prod(work.shapes[op.output][1:3]) <= 256 else None
    if gate is not None:
        first, second, inside = gate
        mul = inside[-1]
        if work.is_dense(work.only_reader(mul.output)) and channels <= 128:
            block = replace(block, gate=(first, second), output=mul.output)
            operators += inside
            last = mul
    project = work.only_reader(last.output)
    if (
        project is not None
        and project.output not in used
        and work.is_dense(project)
        and last.output == project.inputs[0]
    ):
        block = replace(block, project=work.dense(project), output=project.output)
        operators.append(project)
        last = project
        add = work.only_reader(last.output)
        if (
            add is not None
            and add.kind == "add"
            and stride == (1, 1)
            and block.input in add.inputs
            and block.stem is None
            and add.inputs.count(last.output) == 1
        ):
            block = replace(block, residual="input", activation=add.activation, output=add.output)
            operators.append(add)
    elif project is not None and project.kind == "transposed_conv2d" and block.gate is None:
        weights, bias = work.weights_of(project)
        if weights.shape[:3] == (1, 2, 2) and project.attributes["strides"] == (2, 2):
            columns = Dense(np.ascontiguousarray(weights[0].reshape(4, -1).T), np.repeat(bias, 4), project.activation)
            block = replace(block, project=columns, output=project.output, shuffle=True)
            operators.append(project)
    if block.gate is not None and block.project is None:
        raise AssertionError("a gate inside a block is followed by its projection")
    emit(block, operators)


def _is_stem(work: _Work, op: _Op) -> bool:
    weights = work.shapes[op.inputs[1]] if op.kind == "conv2d" else ()
    return (
        op.kind == "conv2d"
        and weights[1:] == (3, 3, 3)
        and weights[0] % 8 == 0
        and op.attributes["strides"] == (2, 2)
        and op.attributes["dilations"] == (1, 1)
        and op.inputs[0] in work.graph.inputs
    )


def _stem(work: _Work, op: _Op) -> Stem:
    weights, bias = work.weights_of(op)
    before = work.before(op)
    assert before is not None
    return Stem(
        op.inputs[0], op.output, np.ascontiguousarray(weights.transpose(1, 2, 3, 0)), bias, before, op.activation
    )


def _gate_after(work: _Work, op: _Op) -> tuple[Dense, Dense, list[_Op]] | None:
    """Mean -> dense, relu -> dense, sigmoid -> mul of a value that has just these two readers."""
    readers = work.readers(op.output)
    if len(readers) != 2 or op.output in work.graph.outputs:
        return None
    pool = next((r for r in readers if _is_pool_of_all(work, r)), None)
    mul = next((r for r in readers if r.kind == "mul" and r.activation == "none"), None)
    first = work.only_reader(pool.output) if pool else None
    second = work.only_reader(first.output) if first and work.is_dense(first) else None
    if pool is None or mul is None or first is None or second is None or not work.is_dense(second):
        return None
    if first.activation != "relu" or second.activation != "sigmoid" or set(mul.inputs) != {op.output, second.output}:
        return None
    return work.dense(first), work.dense(second), [pool, first, second, mul]


def _match_squeeze(work: _Work, op: _Op, used: set[str], emit: Any) -> None:
    if not _is_pool_of_all(work, op):
        return
    first = work.only_reader(op.output)
    if first is None or not work.is_dense(first):
        return
    operators, source, low = [op, first], op.inputs[0], ""
    second = work.only_reader(first.output) if first.activation == "relu" else None
    if second is not None and work.is_dense(second) and second.activation == "sigmoid":
        operators.append(second)
    elif first.activation == "sigmoid":
        second = None
    else:
        return
    # The mean of skip + enlarged needs neither the sum nor the enlarged map.
    add = work.ops.get(source)
    if add is not None and add.kind == "add" and add.activation == "none" and work.only_reader(source) is op:
        for low_side, skip in (add.inputs, add.inputs[::-1]):
            maker = work.ops.get(low_side)
            if maker and maker.kind == "resize_bilinear" and maker.activation == "none" and _is_twofold(work, maker):
                source, low = skip, maker.inputs[0]
                operators.insert(0, add)
                break
    step = Squeeze(source, operators[-1].output, work.dense(first), work.dense(second) if second else None, low)
    emit(step, operators)


def _match_enlargement(work: _Work, op: _Op, used: set[str], emit: Any) -> None:
    if op.kind != "resize_bilinear" or not _is_twofold(work, op) or work.shapes[op.output][3] % 8:
        return
    readers = [reader for reader in work.readers(op.output) if reader.output not in used]
    add = readers[0] if len(readers) == 1 and readers[0].kind == "add" and readers[0].activation == "none" else None
    if add is None or op.output in work.graph.outputs:
        emit(Upsample(op.inputs[0], op.output, activation=op.activation), [op])
        return
    skip = next(name for name in add.inputs if name != op.output)
    if work.shapes[skip] != work.shapes[op.output]:
        emit(Upsample(op.inputs[0], op.output, activation=op.activation), [op])
        return
    mul = work.ops.get(skip)
    if mul is not None and mul.kind == "mul" and mul.output not in used and work.only_reader(skip) is add:
        for gate, value in (mul.inputs, mul.inputs[::-1]):
            if work.shapes[gate][1:3] == (1, 1) and work.shapes[value] == work.shapes[op.output]:
                emit(Upsample(op.inputs[0], add.output, value, gate, op.activation), [op, mul, add])
                return
    emit(Upsample(op.inputs[0], add.output, skip, activation=op.activation), [op, add])


def _match_dense(work: _Work, op: _Op, used: set[str], emit: Any) -> None:
    if _is_stem(work, op) and work.shapes[op.output][2] % 16 == 0:
        emit(_stem(work, op), [op])
        return
    source = op.inputs[0]
    whole = (
        op.kind == "conv2d"
        and op.attributes["padding"] == "valid"
        and "before" not in op.attributes
        and work.shapes[op.inputs[1]][1:3] == work.shapes[source][1:3]
        and work.shapes[source][1:3] != (1, 1)
    )
    if not (work.is_dense(op) or whole) or math.prod(work.shapes[op.inputs[1]][1:]) % 8:
        return
    step, operators = Pointwise(source, op.output, work.dense(op), flatten=whole), [op]
    mul = work.ops.get(source)
    if (
        mul is not None
        and mul.kind == "mul"
        and mul.output not in used
        and work.only_reader(source) is op
        and not whole
    ):
        for gate, value in (mul.inputs, mul.inputs[::-1]):
            if work.shapes[gate][1:3] == (1, 1) and work.shapes[value] == work.shapes[source]:
                step, operators = replace(step, input=value, gate=gate), [mul, op]
                break
    emit(step, operators)

"""From a step to a launch: which kernel, with which constants, tiles and packed weights.

A block's tile is chosen by `posemask.gpu.tiling` for a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..networks.graph import Shape
from .pack import columns, in_order, pack, rows, rows_of_picture
from .plan import Block, Dense, Plain, Pointwise, Refine, Squeeze, Stem, Step, Tower, Upsample
from .tiling import PROCESSORS, BlockShape, best_tiling, up

__all__ = ["Count", "Launch", "Value", "launch_of"]

Array = npt.NDArray[Any]
Shapes = Mapping[str, Shape]
_ACTIVATION = {"none": 0, "relu": 1, "relu6": 2, "hard_swish": 3, "sigmoid": 4}


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """How a kernel is run.

    Attributes:
        name: file in kernels/ without suffix, which is the kernel's name too.
        constants: macros that the source is compiled with.
        threads, shared_bytes: of a thread block.
        blocks: number of thread blocks (x, y, z) for a number of frames.
        arguments: the kernel's arguments in order: a `Value`, a packed array, None (null) or a `Count`.
        output, output_shape: name and shape (without the batch) of the value that it makes.
        float_output: whether that is float32 and not half.
    """

    name: str
    constants: Mapping[str, int | str]
    threads: int
    shared_bytes: int
    blocks: Callable[[int], tuple[int, int, int]]
    arguments: tuple[Any, ...]
    output: str
    output_shape: Shape
    float_output: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A kernel's argument that is a tensor of the network."""

    name: str


@dataclass(frozen=True, slots=True)
class Count:
    """A kernel's argument that is frames * factor."""

    factor: int = 1


def launch_of(
    step: Step,
    shapes: Shapes,
    *,
    batch: int,
    clusters: bool = True,
    float_output: bool = False,
    float_input: bool = False,
    precise: bool = False,
) -> Launch | None:
    """The launch of a step; None where no kernel fits it.

    It runs any number of frames and is tuned for `batch`; `clusters` says whether thread blocks may share work.
    `float_input` says that the step's input is float32 (only a `Pointwise` may get one). With `float_output` the
    results are float32 where the kernel can (`Launch.float_output` says whether it does). With `precise` every input
    is float32, and so is every result but that of a `Pointwise` or `Refine` without `float_output`. The output may have
    more channels than the step's, up to a multiple of 8: the rest is zero.
    """
    match step:
        case Block() if not precise or _is_simple(step):
            return _block(step, shapes, float_output, batch, clusters, precise)
        case Pointwise() if not precise or not (step.gate or step.residual):
            return _pointwise(step, shapes, float_output, float_input or precise, batch)
        case Stem() if not precise:
            return _stem(step, shapes)
        case Squeeze() if not precise:
            return _squeeze(step, shapes)
        case Tower():
            return _tower(step, shapes, precise)
        case Refine():
            return _refine(step, shapes, batch, float_output, precise)
        case Upsample():
            return _upsample(step, shapes, precise)
        case Plain(op="depth_to_space") if shapes[step.output][2] % 8 == 0:
            return _spread(step, shapes, precise)
        case _:
            return None


def _is_simple(block: Block) -> bool:
    return block.gate is None and not block.shuffle and block.residual != "expanded"


def _half(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=np.float16)


def _float(array: Array, size: int | None = None) -> Array:
    padded = np.zeros(size or array.size, np.float32)
    padded[: array.size] = array.ravel()
    return padded


def _bias(bias: Array, column_order: Array) -> Array:
    padded = np.zeros(max(int(column_order.max()) + 1, bias.size), np.float32)
    padded[: bias.size] = bias
    return padded


# --- blocks ----------------------------------------------------------------------------------------------------------


def _block(step: Block, shapes: Shapes, float_output: bool, batch: int, clusters: bool, precise: bool) -> Launch | None:
    depthwise, project = step.depthwise, step.project
    oh, ow, _ = shapes[step.output]
    if step.shuffle:
        oh, ow = oh // 2, ow // 2
    kernel, channels = depthwise.weights.shape[0], depthwise.weights.shape[2]
    ih, iw, cin = shapes[step.input]
    h, w = ih, iw
    if step.stem:
        h, w = -(-ih // 2), -(-iw // 2)
    cout_real = project.weights.shape[1] if project else channels
    cout = 8 if step.shuffle else up(cout_real, 8)
    plain = project is not None and not step.residual and not step.shuffle and step.activation == "none"
    float_output = precise or (float_output and plain)
    c = {
        "STEM": int(step.stem is not None),
        "EXPAND": int(step.expand is not None),
        "PROJECT": int(project is not None),
        "GATE": int(step.gate is not None),
        "SHUFFLE": int(step.shuffle),
        "RESIDUAL": {"": 0, "input": 1, "expanded": 2}[step.residual],
        "CIN": cin,
        "CE_REAL": channels,
        "CE": channels,
        "COUT": cout,
        "OUT_FLOAT": int(float_output),
        "PRECISE": int(precise),
        "H": h,
        "W": w,
        "OH": oh,
        "OW": ow,
        "KS": kernel,
        "STRIDE": depthwise.stride,
        "PAD_T": depthwise.before[0],
        "PAD_L": depthwise.before[1],
        "IH": ih,
        "IW": iw,
        "STEM_T": step.stem.before[0] if step.stem else 0,
        "STEM_L": step.stem.before[1] if step.stem else 0,
        "ACT_EXPAND": _ACTIVATION[(step.expand or step.stem).activation] if step.expand or step.stem else 0,  # type: ignore[union-attr]
        "ACT_DEPTHWISE": _ACTIVATION[depthwise.activation],
        "ACT_PROJECT": _ACTIVATION[project.activation] if project else 0,
        "ACT_OUT": _ACTIVATION[step.activation],
        "SQUEEZED": step.gate[0].weights.shape[1] if step.gate else 1,
    }
    shape = BlockShape(
        h=h,
        w=w,
        oh=oh,
        ow=ow,
        kernel=kernel,
        stride=depthwise.stride,
        cin=cin,
        ce=channels,
        cout=cout,
        squeezed=c["SQUEEZED"],
        stem=bool(step.stem),
        expand=bool(step.expand),
        project=bool(project),
        gate=bool(step.gate),
        precise=precise,
    )
    best = best_tiling(shape, batch=batch, clusters=clusters)
    if best is None:
        return None
    ce = up(channels, best.chunk)
    c |= {
        "CE": ce,
        "TH": best.th,
        "TW": best.tw,
        "FRAMES": best.frames,
        "STRIP": best.strip,
        "CHUNK": best.chunk,
        "WARPS": best.warps,
        "WARPS_N": best.warps_n,
        "MB": best.rows_at_once,
        "MIN_BLOCKS": best.per_processor,
        "SPLIT": best.split,
        "CLUSTER": best.split if project else 1,
    }
    groups = best.chunk // 8
    expanded_order = np.concatenate([first + columns(groups) for first in range(0, ce, best.chunk)])
    w_expand = b_expand = None
    if step.stem:
        kernel4 = np.zeros((3, 4, 4, channels), np.float32)
        kernel4[:, :3, :3] = step.stem.weights
        ordered = in_order(kernel4.reshape(48, channels), rows_of_picture(), expanded_order)
        w_expand, b_expand = (
            _expanded(ordered, groups),
            in_order(step.stem.bias[None], np.zeros(1, np.intp), expanded_order),
        )
    elif step.expand:
        ordered = in_order(step.expand.weights, rows(cin), expanded_order)
        w_expand, b_expand = (
            _expanded(ordered, groups),
            in_order(step.expand.bias[None], np.zeros(1, np.intp), expanded_order),
        )
    taps = np.zeros((kernel * kernel, ce), np.float32)
    taps[:, :channels] = depthwise.weights.reshape(-1, channels)
    taps, b_depthwise = taps.reshape(-1, ce // best.chunk, best.chunk).transpose(1, 0, 2), _float(depthwise.bias, ce)
    w_depthwise = np.ascontiguousarray(taps)
    if precise and depthwise.activation == "relu6":  # see kernels/block.cu
        b_depthwise /= 6
        if c["ACT_EXPAND"] != _ACTIVATION["relu6"]:
            w_depthwise /= 6
    if not precise:
        w_depthwise, b_depthwise = _half(w_depthwise), _half(b_depthwise)
    w_project = b_project = None
    if project:
        columns_all = c["COUT"] // 8 // best.warps_n
        order = np.concatenate([n * columns_all * 8 + columns(columns_all) for n in range(best.warps_n)])
        chunk_rows = np.concatenate([first + rows(best.chunk) for first in range(0, ce, best.chunk)])
        w_project = pack(in_order(project.weights, chunk_rows, order))
        b_project = _float(project.bias, c["COUT"])
    gate: tuple[Array | None, ...] = (None, None, None, None)
    if step.gate:
        gate = (
            _float(step.gate[0].weights),
            _float(step.gate[0].bias),
            _float(step.gate[1].weights),
            _float(step.gate[1].bias),
        )
    tiles, per_block, split = -(-oh // best.th) * -(-ow // best.tw), best.frames, best.split
    return Launch(
        "block",
        c,
        32 * best.warps,
        best.shared_bytes,
        lambda frames: (tiles, -(-frames // per_block), split),
        (
            Value(step.input),
            Value(step.output),
            w_expand,
            b_expand,
            w_depthwise,
            b_depthwise,
            w_project,
            b_project,
            *gate,
            Count(),
        ),
        step.output,
        shapes[step.output] if step.shuffle else (oh, ow, cout),
        float_output,
    )


def _expanded(ordered: Array, groups: int) -> Array:
    """The first product's weights, chunk by chunk: (chunk, step, tile of the chunk, lane, word, half)."""
    packed = pack(ordered)
    steps, tiles = packed.shape[:2]
    return np.ascontiguousarray(packed.reshape(steps, tiles // groups, groups, 32, 2, 2).transpose(1, 0, 2, 3, 4, 5))


# --- the other steps -------------------------------------------------------------------------------------------------


def _pointwise(step: Pointwise, shapes: Shapes, float_output: bool, float_input: bool, batch: int) -> Launch | None:
    k, n = step.dense.weights.shape
    stored = n if step.flatten else up(n, 2)  # of a map's odd channels: pairs are stored at once
    map_rows = 1 if step.flatten else math.prod(shapes[step.input][:2])
    all_tiles = -(-n // 8)
    many = map_rows * batch >= 64 * PROCESSORS
    groups = -(-all_tiles // (12 if many or map_rows >= 64 else 2))  # few rows: many thread blocks, and loads ahead
    tiles = -(-all_tiles // groups)
    at_once = 2 if many else 1
    order = np.concatenate([first * tiles * 8 + columns(tiles) for first in range(groups)])
    per_block = (4 if many else 2) * at_once * 16
    constants = {
        "K": k,
        "N": stored,
        "TILES": tiles,
        "MB": at_once,
        "WARPS": per_block // at_once // 16,
        "GATE": int(bool(step.gate)),
        "MAP": map_rows,
        "RESIDUAL": int(bool(step.residual)),
        "ACT": _ACTIVATION[step.dense.activation],
        "ACT_OUT": _ACTIVATION[step.activation],
        "OUT_FLOAT": int(float_output),
        "X_FLOAT": int(float_input),
    }
    return Launch(
        "pointwise",
        constants,
        constants["WARPS"] * 32,
        0,
        lambda frames: (-(-frames * map_rows // per_block), groups, 1),
        (
            Value(step.input),
            Value(step.output),
            Value(step.residual) if step.residual else None,
            pack(in_order(step.dense.weights, rows(k), order)),
            _bias(step.dense.bias, order),
            Value(step.gate) if step.gate else None,
            Count(map_rows),
        ),
        step.output,
        shapes[step.output] if step.flatten else (*shapes[step.output][:2], stored),
        float_output,
    )


def _stem(step: Stem, shapes: Shapes) -> Launch:
    ih, iw, _ = shapes[step.input]
    oh, ow, channels = shapes[step.output]
    kernel4 = np.zeros((3, 4, 4, channels), np.float32)
    kernel4[:, :3, :3] = step.weights
    constants = {
        "IH": ih,
        "IW": iw,
        "OH": oh,
        "OW": ow,
        "TOP": step.before[0],
        "LEFT": step.before[1],
        "TILES": channels // 8,
        "ACT": _ACTIVATION[step.activation],
    }
    packed = pack(in_order(kernel4.reshape(48, channels), rows_of_picture(), columns(channels // 8)))
    return Launch(
        "stem",
        constants,
        256,
        0,
        lambda frames: (-(-frames * oh * (ow // 16) // 8), 1, 1),
        (Value(step.input), Value(step.output), packed, _float(step.bias), Count()),
        step.output,
        shapes[step.output],
    )


def _squeeze(step: Squeeze, shapes: Shapes) -> Launch:
    h, w, c = shapes[step.input]
    constants = {
        "H": h,
        "W": w,
        "C": c,
        "LOW": int(bool(step.low)),
        "SQUEEZED": step.first.weights.shape[1],
        "EXCITED": step.second.weights.shape[1] if step.second else 0,
        "THREADS": 768 if c == 24 else 512,
    }

    def dense(d: Dense | None) -> tuple[Array | None, Array | None]:
        return (_float(d.weights), _float(d.bias)) if d else (None, None)

    return Launch(
        "squeeze",
        constants,
        constants["THREADS"],
        4 * (c + constants["SQUEEZED"]),
        lambda frames: (frames, 1, 1),
        (
            Value(step.input),
            Value(step.low) if step.low else None,
            *dense(step.first),
            *dense(step.second),
            Value(step.output),
        ),
        step.output,
        shapes[step.output],
        float_output=True,
    )


def _refine(step: Refine, shapes: Shapes, batch: int, float_output: bool, precise: bool) -> Launch:
    h, w, _ = shapes[step.output]
    clips = {step.blocks[0].depthwise.activation, step.blocks[0].activation}
    scale = 6 if clips == {"relu6"} else 1
    words = []
    for block in step.blocks:
        assert block.project is not None
        depthwise, project = block.depthwise, block.project
        parts = (depthwise.weights, depthwise.bias / scale, project.weights, project.bias / scale)
        words += [part.reshape(-1, 8) for part in parts]
    if step.last:  # the bias enters once, as the first of 8 partial sums
        words += [step.last[0].reshape(-1, 8) * scale, np.pad(step.last[1], (0, 7))[None]]
    halo = 3 if step.last else 2
    side = 32 if batch * (h // 32) * (w // 32) >= PROCESSORS else 16
    threads = (352 if step.last else 320) if side == 32 else 128  # one round of strips a step, or nearly
    constants: dict[str, int | str] = {
        "H": h,
        "W": w,
        "SKIP": int(bool(step.skip)),
        "LAST": int(step.last is not None),
        "ACT_DEPTHWISE": _ACTIVATION[step.blocks[0].depthwise.activation],
        "ACT_OUT": _ACTIVATION[step.blocks[0].activation],
        "TILE": side,
        "TALL": 4,
        "THREADS": threads,
        "SCALE": scale,
        "X_FLOAT": int(precise),
        "OUT_FLOAT": int(float_output),
        "GIVEN": ",".join(f"{float(value).hex()}f" for value in np.concatenate(words).ravel()),
        "MIN_BLOCKS": 2,
    }
    return Launch(
        "refine",
        constants,
        threads,
        4 * 16 * (side + 2 * halo) ** 2,
        lambda frames: (-(-h // side) * -(-w // side), frames, 1),
        (
            Value(step.input),
            Value(step.skip) if step.skip else None,
            Value(step.output),
        ),
        step.output,
        shapes[step.output],
        float_output,
    )


_TOWER_WARPS = 12


def _tower(step: Tower, shapes: Shapes, precise: bool) -> Launch:
    h, w, c = shapes[step.input]
    taps, dense, bias = [], [], []
    for layer in step.layers:
        assert layer.project is not None
        taps += [layer.depthwise.weights.reshape(9, c), layer.depthwise.bias[None]]
        packed = pack(in_order(layer.project.weights, rows(c), np.arange(c)))  # step, tile, lane, word, half
        dense.append(packed.reshape(c // 32, 2, c // 8, 32, 4).transpose(0, 2, 3, 1, 4))
        bias.append(layer.project.bias)
    strided = [i for i, layer in enumerate(step.layers) if layer.depthwise.stride == 2]
    constants = {
        "C": c,
        "H": h,
        "W": w,
        "LAYERS": len(step.layers),
        "STRIDED": sum(1 << i for i in strided),
        "WARPS": _TOWER_WARPS,
        "X_FLOAT": int(precise),
    }
    after_first = h * w // (4 if 0 in strided else 1)
    return Launch(
        "tower",
        constants,
        32 * _TOWER_WARPS,
        2 * 16 * (2 * c + 16) + 4 * c * (h * w + after_first),
        lambda frames: (frames, 1, 1),
        (
            Value(step.input),
            _float(np.concatenate(taps)),
            np.ascontiguousarray(np.stack(dense)),
            _float(np.concatenate(bias)),
            Value(step.output),
        ),
        step.output,
        shapes[step.output],
        float_output=True,
    )


def _spread(step: Plain, shapes: Shapes, precise: bool) -> Launch:
    h, w, c = shapes[step.output]
    vectors = c // (4 if precise else 8)
    return Launch(
        "spread",
        {"H": h, "W": w, "VECTORS": vectors, "BLOCK": step.attributes["block"]},
        256,
        0,
        lambda frames: (-(-frames * h * w * vectors // 256), 1, 1),
        (Value(step.inputs[0]), Value(step.output), Count()),
        step.output,
        shapes[step.output],
        precise,
    )


def _upsample(step: Upsample, shapes: Shapes, precise: bool) -> Launch:
    h, w, c = shapes[step.output]
    vectors = c // (4 if precise else 8)
    constants = {
        "H": h,
        "W": w,
        "C": c,
        "SKIP": int(bool(step.skip)),
        "GATE": int(bool(step.gate)),
        "ACT": _ACTIVATION[step.activation],
        "PRECISE": int(precise),
    }
    return Launch(
        "upsample",
        constants,
        256,
        0,
        lambda frames: (-(-frames * h * w * vectors // 256), 1, 1),
        (
            Value(step.input),
            Value(step.skip) if step.skip else None,
            Value(step.gate) if step.gate else None,
            Value(step.output),
            Count(),
        ),
        step.output,
        shapes[step.output],
        precise,
    )

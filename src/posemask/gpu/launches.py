"""From a step to a launch: which kernel, with which constants, tiles and packed weights.

Tiles are chosen by counting: products (with the halo computed twice and rows padded to 16), depthwise work, and how many
thread blocks fit on a multiprocessor by shared memory and registers. The count is rough; it only has to rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..networks.graph import Shape
from .pack import columns, in_order, pack, rows, rows_of_picture
from .plan import Block, Dense, Pointwise, Refine, Squeeze, Stem, Step, Tower, Upsample

__all__ = ["Count", "Launch", "Value", "launch_of"]

Array = npt.NDArray[Any]
Shapes = Mapping[str, Shape]
_ACTIVATION = {"none": 0, "relu": 1, "relu6": 2, "hard_swish": 3, "sigmoid": 4}
_SHARED_PER_BLOCK, _SHARED_PER_PROCESSOR = 227 << 10, 227 << 10


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """How a kernel is run.

    Attributes:
        name: file in kernels/ without suffix, which is the kernel's name too.
        constants: macros that the source is compiled with.
        threads, shared_bytes: of a thread block.
        blocks: number of thread blocks (x, y) for a number of frames.
        arguments: the kernel's arguments in order: a `Value`, a packed array, None (null) or a `Count`.
        output, output_shape: name and shape (without the batch) of the value that it makes.
        float_output: whether that is float32 and not half.
    """

    name: str
    constants: Mapping[str, int]
    threads: int
    shared_bytes: int
    blocks: Callable[[int], tuple[int, int]]
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


def launch_of(step: Step, shapes: Shapes, *, float_output: bool = False, float_input: bool = False) -> Launch | None:
    """The launch of a step; None where no kernel fits it.

    `float_input` says that the step's input is float32 (only a `Pointwise` may get one). With `float_output` the results are float32 where the kernel can (`Launch.float_output` says whether it does). The
    output may have more channels than the step's, up to a multiple of 8: the rest is zero.
    """
    match step:
        case Block():
            return _block(step, shapes, float_output)
        case Pointwise():
            return _pointwise(step, shapes, float_output, float_input)
        case Stem():
            return _stem(step, shapes)
        case Squeeze():
            return _squeeze(step, shapes)
        case Tower():
            return _tower(step, shapes)
        case Refine():
            return _refine(step, shapes)
        case Upsample():
            return _upsample(step, shapes)
        case _:
            return None


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


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


@dataclass(frozen=True, slots=True)
class _Tiling:
    th: int
    tw: int
    frames: int
    strip: int
    warps_n: int
    chunk: int
    rows_at_once: int
    shared_bytes: int
    blocks_per_processor: int
    cost: float


_WARPS = 8


def _tilings(c: Mapping[str, int], gate: bool, stem: bool, expand: bool, project: bool) -> Iterator[_Tiling]:
    oh, ow, h, w, kernel, stride = c["OH"], c["OW"], c["H"], c["W"], c["KS"], c["STRIDE"]
    ce, cout = c["CE"], c["COUT"]
    tiles = _up(cout, 8) // 8 if project else 0
    heights = {s for s in (oh, 16, 14, 12, 9, 8, 7, 4) if s <= oh}
    widths = {s for s in (ow, 32, 16, 14, 8, 7, 4) if s <= ow}
    for chunk in (32, 16):
        if chunk == 16 and (gate or ce > 32 and ce % 32 == 0 or ce > 200):
            continue
        ce_padded = _up(ce, chunk)
        for th in heights:
            for tw in widths:
                whole = (th, tw) == (oh, ow)
                for frames in (1, 2, 4, 8, 16):
                    if frames > 1 and (not whole or gate or stem):
                        continue
                    pixels = frames * th * tw
                    if pixels > 512 or (pixels < 32 and not (whole and frames == 16)):
                        continue
                    if gate and not whole:
                        continue
                    eh, ew = (th - 1) * stride + kernel, (tw - 1) * stride + kernel
                    expanded = stem or expand
                    row_count = frames * (h * w if whole and expanded else eh * ew)
                    row_tiles, pixel_tiles = _up(row_count, 16) // 16, _up(pixels, 16) // 16
                    k1 = 48 if stem else _up(c["CIN"], 16)
                    x_stride = (
                        k1 * 2 if k1 % 64 == 32 else k1 * 2 + 64 if k1 % 64 == 0 else 32 if k1 == 16 else k1 * 2 + 16
                    )
                    x_bytes = (2 * eh + 1) * (2 * ew + 2) * 8 if stem else row_tiles * 16 * x_stride if expand else 0
                    e_bytes, d_bytes = frames * eh * ew * chunk * 2, pixel_tiles * 16 * chunk * 2
                    d_count = ce_padded // chunk if gate else 1
                    shared = _up(x_bytes, 128) + _up(e_bytes, 128) + d_bytes * d_count
                    shared += 4 * (ce_padded + c["SQUEEZED"]) if gate else 0
                    if shared > _SHARED_PER_BLOCK:
                        continue
                    for warps_n in (1, 2, 4, 8):
                        if (
                            project
                            and (tiles % warps_n or (warps_n > 1 and tiles < 2 * warps_n))
                            or (not project and warps_n > 1)
                        ):
                            continue
                        warps_m = _WARPS // warps_n
                        mine = -(-pixel_tiles // warps_m)
                        accumulators = mine * (tiles // warps_n) * 4 if project else 0
                        if accumulators > 96:
                            continue
                        registers = accumulators + 80
                        per_processor = min(
                            _SHARED_PER_PROCESSOR // (shared + 1024), 65536 // (256 * min(_up(registers, 8), 255)), 4
                        )
                        if per_processor < 1:
                            continue
                        strip = next(
                            (
                                r
                                for r in (8, 7, 6, 5, 4, 3, 2, 1)
                                if th % r == 0
                                and frames * (th // r) * tw * chunk // 8 >= 32 * _WARPS * (0.75 if r > 2 else 0.5)
                            ),
                            1,
                        )
                        items = frames * (th // strip) * tw * chunk // 8
                        rounds = -(-items // (32 * _WARPS))
                        loads = ((strip - 1) * stride + kernel) * kernel + kernel * kernel
                        depthwise = rounds * 8 * max(loads * 4, strip * kernel * kernel)  # cycles a chunk
                        first = (
                            -(-row_tiles // _WARPS) * _WARPS * (k1 / 16) * (chunk / 8) * 2.5
                            if expanded
                            else eh * ew * frames * 0.6
                        )
                        store = row_tiles * 16 * chunk / 64 if expanded else 0
                        second = mine * warps_m * warps_n * (chunk / 16) * (tiles / warps_n) * 2.5 if project else 0
                        fixed = 250.0
                        cycles = (
                            (depthwise + first + store + second + fixed) * (ce_padded / chunk)
                            + row_count * (k1 / 32) * 4
                            + 1500
                        )
                        overlap = {1: 1.0, 2: 0.7, 3: 0.6, 4: 0.55}[per_processor]
                        covered = oh * ow / (_up(oh, th) * _up(ow, tw))
                        cost = cycles * overlap / (pixels * covered)
                        rows_at_once = 2 if row_tiles >= 2 * _WARPS else 1
                        yield _Tiling(th, tw, frames, strip, warps_n, chunk, rows_at_once, shared, per_processor, cost)


def _block(step: Block, shapes: Shapes, float_output: bool) -> Launch | None:
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
    cout = 8 if step.shuffle else _up(cout_real, 8)
    float_output = (
        float_output and project is not None and not step.residual and not step.shuffle and step.activation == "none"
    )
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
        "WARPS": _WARPS,
    }
    best = min(
        _tilings(c, bool(step.gate), bool(step.stem), bool(step.expand), bool(project)),
        key=lambda t: t.cost,
        default=None,
    )
    if best is None:
        return None
    ce = _up(channels, best.chunk)
    c |= {
        "CE": ce,
        "TH": best.th,
        "TW": best.tw,
        "FRAMES": best.frames,
        "STRIP": best.strip,
        "CHUNK": best.chunk,
        "WARPS_N": best.warps_n,
        "MB": best.rows_at_once,
        "MIN_BLOCKS": best.blocks_per_processor,
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
    w_depthwise = _half(taps.reshape(-1, ce // best.chunk, best.chunk).transpose(1, 0, 2))
    b_depthwise = _half(_float(depthwise.bias, ce))
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
    tiles = -(-oh // best.th) * -(-ow // best.tw)
    return Launch(
        "block",
        c,
        32 * _WARPS,
        best.shared_bytes,
        lambda frames, f=best.frames: (tiles, -(-frames // f)),
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


def _pointwise(step: Pointwise, shapes: Shapes, float_output: bool, float_input: bool) -> Launch | None:
    k, n = step.dense.weights.shape
    map_rows = 1 if step.flatten else math.prod(shapes[step.input][:2])
    all_tiles = -(-n // 8)
    groups = -(-all_tiles // 12)
    tiles = -(-all_tiles // groups)
    many = map_rows >= 64
    at_once = 2 if many else 1
    order = np.concatenate([first * tiles * 8 + columns(tiles) for first in range(groups)])
    per_block = (4 if many else 2) * at_once * 16
    constants = {
        "K": k,
        "N": n,
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
        lambda frames: (-(-frames * map_rows // per_block), groups),
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
        shapes[step.output],
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
        lambda frames: (-(-frames * oh * (ow // 16) // 8), 1),
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
        lambda frames: (frames, 1),
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


def _refine(step: Refine, shapes: Shapes) -> Launch:
    h, w, _ = shapes[step.output]
    words = []
    for block in step.blocks:
        assert block.project is not None
        parts = (block.depthwise.weights, block.depthwise.bias, block.project.weights, block.project.bias)
        words += [part.reshape(-1, 8) for part in parts]
    last, last_bias = step.last or (np.zeros((9, 8), np.float32), np.zeros(1, np.float32))
    halo = 3 if step.last else 2
    constants = {
        "H": h,
        "W": w,
        "SKIP": int(bool(step.skip)),
        "LAST": int(step.last is not None),
        "ACT_DEPTHWISE": _ACTIVATION[step.blocks[0].depthwise.activation],
        "ACT_OUT": _ACTIVATION[step.blocks[0].activation],
        "MIN_BLOCKS": 2,
    }
    side = 32
    return Launch(
        "refine",
        constants,
        256,
        2 * 16 * (side + 2 * halo) ** 2,
        lambda frames: (-(-h // side) * -(-w // side), frames),
        (
            Value(step.input),
            Value(step.skip) if step.skip else None,
            _half(np.concatenate([*words, last.reshape(-1, 8)])),
            _float(last_bias),
            Value(step.output),
        ),
        step.output,
        shapes[step.output],
    )


_TOWER_WARPS = 12


def _tower(step: Tower, shapes: Shapes) -> Launch:
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
    }
    after_first = h * w // (4 if 0 in strided else 1)
    return Launch(
        "tower",
        constants,
        32 * _TOWER_WARPS,
        2 * 16 * (2 * c + 16) + 4 * c * (h * w + after_first),
        lambda frames: (frames, 1),
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


def _upsample(step: Upsample, shapes: Shapes) -> Launch:
    h, w, c = shapes[step.output]
    constants = {
        "H": h,
        "W": w,
        "C": c,
        "SKIP": int(bool(step.skip)),
        "GATE": int(bool(step.gate)),
        "ACT": _ACTIVATION[step.activation],
    }
    return Launch(
        "upsample",
        constants,
        256,
        0,
        lambda frames: (-(-frames * h * w * (c // 8) // 256), 1),
        (
            Value(step.input),
            Value(step.skip) if step.skip else None,
            Value(step.gate) if step.gate else None,
            Value(step.output),
            Count(),
        ),
        step.output,
        shapes[step.output],
    )

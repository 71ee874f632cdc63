"""Which part of a block's output one thread block makes: chosen by counting.

Counted are, for one thread block: the matrix products (with the halo computed twice and rows padded to 16), the loads
and products of the depthwise step, what a chunk of channels costs however little it holds, and the tile's loading;
then how many thread blocks fit on a multiprocessor by shared memory and registers, and how many rounds of them a
batch needs. The count is rough, in cycles; it only has to rank. For large batches it favours tiles with little halo,
for a single picture tiles enough to give every multiprocessor one, and thread blocks that share a tile's channels.
For the published networks the best few were timed on the card; what was best is in measured.json
(benchmarks/gpu_tilings.py wrote it).
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROCESSORS", "BlockShape", "Tiling", "best_tiling"]

PROCESSORS = 132  # of the card that this was tuned on; others rank alike
SHARED_BYTES = 227 << 10
REGISTERS = 65536
MOST_ONE, LEAST_MANY = 4, 64  # batches for which measurements with 1 and with 512 pictures hold
MOST_ACCUMULATORS = 128  # of a thread
MOST_PIXELS = 1 << 12  # of the expanded tile: their places have 12 bits
OTHER_REGISTERS = 90  # what a thread needs besides
STRIPS = (8, 7, 6, 5, 4, 3, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockShape:
    """A block as the tiling sees it; sizes in pixels, channels as in kernels/block.cu."""

    h: int
    w: int
    oh: int
    ow: int
    kernel: int
    stride: int
    cin: int
    ce: int
    cout: int
    squeezed: int
    stem: bool
    expand: bool
    project: bool
    gate: bool
    precise: bool = False

    @property
    def k1(self) -> int:
        """Depth of the first product."""
        return 48 if self.stem else up(self.cin, 16)

    @property
    def x_stride(self) -> int:
        """Bytes between rows of x in shared memory, so that a warp's reads hit different banks."""
        k = self.k1
        return k * 2 if k % 64 == 32 else k * 2 + 64 if k % 64 == 0 else 32 if k == 16 else k * 2 + 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """The tile of a thread block.

    Attributes:
        th, tw: its pixels; frames: pictures, where a tile is the whole map.
        chunk: channels at a time; split: thread blocks that share a tile's chunks.
        strip: pixels below each other that a thread makes in the depthwise step.
        warps: of a thread block; warps_n: of those side by side over the projection's columns.
        rows_at_once: 16-row tiles that a warp expands together.
        shared_bytes: what it takes; per_processor: how many a multiprocessor should hold at once.
        cycles: estimate for the batch.
    """

    th: int
    tw: int
    frames: int
    chunk: int
    split: int
    strip: int
    warps: int
    warps_n: int
    rows_at_once: int
    shared_bytes: int
    per_processor: int
    cycles: float


def up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple


def measured_key(shape: BlockShape, batch: int) -> str:
    """Name of a shape in measured.json; what was measured holds for one picture, or for many."""
    numbers = (shape.h, shape.w, shape.oh, shape.ow, shape.kernel, shape.stride, shape.cin, shape.ce, shape.cout)
    kinds = "".join(
        letter
        for letter, on in zip(
            "sepgf", (shape.stem, shape.expand, shape.project, shape.gate, shape.precise), strict=True
        )
        if on
    )
    return f"{'one' if batch <= MOST_ONE else 'many'} {kinds} {' '.join(map(str, numbers))}"


def as_row(tiling: Tiling) -> list[int]:
    """A tiling in measured.json."""
    return [tiling.th, tiling.tw, tiling.frames, tiling.chunk, tiling.split, tiling.warps, tiling.warps_n, tiling.strip]


@functools.cache
def _measured() -> dict[str, list[int]]:
    path = Path(__file__).with_name("measured.json")
    return dict(json.loads(path.read_text())) if path.exists() else {}


def best_tiling(shape: BlockShape, *, batch: int, clusters: bool) -> Tiling | None:
    """The tiling that was measured to be best, else the one with the least estimate for a batch; None if no tile fits.

    `clusters`: thread blocks may share a tile.
    """
    row = _measured().get(measured_key(shape, batch)) if batch <= MOST_ONE or batch >= LEAST_MANY else None
    if row and (clusters or row[4] == 1):
        tiling = tiling_of(shape, row, batch)
        if tiling:
            return tiling
    return min(tilings(shape, batch=batch, clusters=clusters), key=lambda tiling: tiling.cycles, default=None)


def tiling_of(shape: BlockShape, row: list[int], batch: int) -> Tiling | None:
    """The tiling of a row in measured.json, None if it does not fit; a row without a strip gets the model's."""
    th, tw, frames, chunk, split, warps, warps_n, *strip = row
    return _tiling(shape, th, tw, frames, chunk, split, warps, warps_n, batch, *strip)


def tilings(shape: BlockShape, *, batch: int, clusters: bool) -> Iterator[Tiling]:
    """Every tiling that fits."""
    s = shape
    heights = {side for side in (s.oh, 16, 14, 12, 9, 8, 7, 4) if side <= s.oh}
    widths = {side for side in (s.ow, 32, 16, 14, 8, 7, 4) if side <= s.ow}
    splits = (1, 2, 4, 8) if clusters and not s.gate else (1,)
    for th, tw, chunk, frames in itertools.product(heights, widths, (32, 16), (1, 2, 4, 8, 16)):
        whole = (th, tw) == (s.oh, s.ow)
        if frames > 1 and (not whole or s.gate or s.stem or frames > batch):
            continue
        if (not 16 <= frames * th * tw <= 512 and not whole) or frames * th * tw > 512 or (s.gate and not whole):
            continue
        if chunk == 16 and (s.gate or (not s.precise and (s.ce > 200 or (s.ce > 32 and s.ce % 32 == 0)))):
            continue
        for split, warps, warps_n in itertools.product(splits, (8, 16), (1, 2, 4, 8)):
            if split <= up(s.ce, chunk) // chunk:
                tiling = _tiling(s, th, tw, frames, chunk, split, warps, warps_n, batch)
                if tiling:
                    yield tiling


def _tiling(
    s: BlockShape,
    th: int,
    tw: int,
    frames: int,
    chunk: int,
    split: int,
    warps: int,
    warps_n: int,
    batch: int,
    strip: int = 0,
) -> Tiling | None:
    tiles, threads = up(s.cout, 8) // 8 if s.project else 0, 32 * warps
    if warps_n > 1 and (tiles % warps_n or tiles < 2 * warps_n):
        return None
    whole, expanded = (th, tw) == (s.oh, s.ow), s.stem or s.expand
    eh, ew = (th - 1) * s.stride + s.kernel, (tw - 1) * s.stride + s.kernel
    rows, pixels = frames * (s.h * s.w if whole and expanded else eh * ew), frames * th * tw
    row_tiles, pixel_tiles = up(rows, 16) // 16, up(pixels, 16) // 16
    mine = -(-pixel_tiles * warps_n // warps)
    accumulators = mine * (tiles // warps_n) * 4
    if accumulators > MOST_ACCUMULATORS:
        return None

    chunks = up(s.ce, chunk) // chunk
    size = 4 if s.precise else 2  # bytes of a number, or of the two halves that stand for it
    x_bytes = (2 * eh + 1) * (2 * ew + 2) * 8 if s.stem else row_tiles * 16 * s.x_stride if s.expand else 0
    shared = (
        up(x_bytes * size // 2, 128)
        + up(frames * eh * ew * chunk * size, 128)
        + pixel_tiles * 16 * chunk * size * (chunks if s.gate else 1)
    )
    shared += row_tiles * 16 * 2 if expanded else 0
    shared += 4 * (chunks * chunk + s.squeezed) if s.gate else 0
    if split > 1 and s.project:
        shared = max(shared, accumulators * threads * 4)
    if shared > SHARED_BYTES or frames * eh * ew >= MOST_PIXELS:
        return None
    per_processor = min(
        SHARED_BYTES // (shared + 1024), REGISTERS // (threads * min(up(accumulators + OTHER_REGISTERS, 8), 255)), 4
    )
    if not per_processor:
        return None

    # The longest strip that still gives most threads one: it loads least.
    strips = [r for r in STRIPS if th % r == 0]
    vectors = chunk * size // 16  # of a pixel
    strip = strip or next((r for r in strips if pixels // r * vectors >= threads * (0.75 if r > 2 else 0.5)), 1)
    rounds = -(-pixels // strip * vectors // threads) or 1
    loads = ((strip - 1) * s.stride + s.kernel) * s.kernel + s.kernel**2
    depthwise = max(rounds, 1) * warps * max(loads * 4, strip * s.kernel**2)
    first = (
        up(row_tiles, warps) * (s.k1 / 16) * (chunk / 8) * 2.5 + row_tiles * chunk / 4
        if expanded
        else eh * ew * frames * 0.6
    )
    second = mine * warps * (chunk / 16) * (tiles / warps_n) * 2.5
    first, second = first * size / 2, second * size / 2
    latency = 900  # of a chunk's three phases, where nothing hides it
    work = (depthwise + first + second) * -(-chunks // split) + rows * (s.k1 / 32) * 4
    waiting = latency * -(-chunks // split) + 2500 + (3000 if split > 1 else 0)

    blocks = -(-s.oh // th) * -(-s.ow // tw) * -(-batch // frames) * split
    each = blocks / PROCESSORS  # thread blocks for a multiprocessor
    together = min(per_processor, max(1, round(each)))
    # More warps hide more of what each waits for.
    slower = {8: 1.45, 16: 1.0, 24: 0.9, 32: 0.85}.get(min(together * warps, 32), 0.85) if each >= 1 else 1.0
    cycles = max(1.0, each) * (work * slower + waiting / together) + 0.001 * (work + waiting) * blocks
    rows_at_once = 2 if row_tiles >= 2 * warps else 1
    return Tiling(
        th=th,
        tw=tw,
        frames=frames,
        chunk=chunk,
        split=split,
        strip=strip,
        warps=warps,
        warps_n=warps_n,
        rows_at_once=rows_at_once,
        shared_bytes=shared,
        per_processor=together,
        cycles=cycles,
    )

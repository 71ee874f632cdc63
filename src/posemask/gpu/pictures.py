"""The kernels for pictures, behind small functions on tensors: crops, masks, mattes, blurred and finished frames.

Pictures of any size and format stand side by side in a table on the device, one row a stream (kernels/pictures.cuh);
all functions work on every row at once. Nothing here allocates while frames run: buffers are made by the constructors.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch

from ..errors import ImageError, InputError
from ..pixels.torch import YuvColors, blur_plan
from .compiler import Kernels

__all__ = [
    "Background",
    "Composer",
    "Cropper",
    "Effect",
    "Format",
    "MaskFilter",
    "Part",
    "Softener",
    "ToRgb",
    "bits",
    "check_form",
    "picture_row",
    "plane_shape",
]

Tensor: TypeAlias = torch.Tensor
Format = Literal["rgb", "nv12"]
MATRICES = ("bt601", "bt709", "bt2020")  # in the order of kernels/pictures.cuh

Background = Literal["blur", "picture", "color"]


def bits(value: float) -> int:
    """A float32's bits: kernels take addresses and integers only."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def check_form(form: str) -> None:
    """Raises `InputError` unless frames can have this form."""
    if form not in get_args(Format):
        raise InputError(f"form must be one of {', '.join(map(repr, get_args(Format)))}, got {form!r}")


def plane_shape(size_hw: tuple[int, int], form: Format) -> tuple[int, ...]:
    """Shape of the uint8 tensor that holds a picture: (H, W, 3), or for NV12 (H * 3 / 2, W)."""
    height, width = size_hw
    return (height, width, 3) if form == "rgb" else (height * 3 // 2, width)


def picture_row(
    picture: Tensor, size_hw: tuple[int, int], form: Format, colors: YuvColors | None = None
) -> tuple[int, ...]:
    """A picture's row in the table; `colors` are of NV12, BT.709 in the limited range if not given.

    Raises `ImageError` unless it is a uint8 tensor of the right shape with contiguous rows.
    """
    shape = plane_shape(size_hw, form)
    if not isinstance(picture, torch.Tensor):
        raise ImageError(f"a frame of this stream must be a uint8 tensor of shape {shape}, got {type(picture)}")
    if tuple(picture.shape) != shape or picture.dtype != torch.uint8 or not picture[:1].is_contiguous():
        got = f"{picture.dtype} of shape {tuple(picture.shape)}, strides {picture.stride()}"
        raise ImageError(
            f"a frame of this stream must be a uint8 tensor of shape {shape} with contiguous rows, got {got}"
        )
    first, pitch = picture.data_ptr(), picture.stride(0)
    if form == "rgb":
        return (first, *size_hw, pitch, 0, 0)
    colors = colors or YuvColors()
    kind = 1 + 2 * MATRICES.index(colors.matrix) + int(colors.full_range)
    return (first, *size_hw, pitch, kind, first + pitch * size_hw[0])


class Part:
    """A kernel with its threads: `run(blocks, ...)` takes tensors, integers and None."""

    def __init__(
        self, place: Kernels, name: str, constants: Mapping[str, int], threads: int, shared_bytes: int = 0
    ) -> None:
        (self._kernel,) = place.load([(name, constants, shared_bytes)])
        self._threads = threads

    def run(self, blocks: tuple[int, int], *arguments: Tensor | int | None) -> None:
        words = [0 if a is None else a.data_ptr() if isinstance(a, torch.Tensor) else a for a in arguments]
        self._kernel.launch(blocks, self._threads, words)


class ToRgb:
    """One NV12 picture after the other as RGB."""

    def __init__(self, place: Kernels, size_hw: tuple[int, int]) -> None:
        self._part = Part(place, "rgb", {}, 256)
        self._blocks = -(-size_hw[0] * size_hw[1] // 256)

    def run(self, table: Tensor, outputs: Tensor) -> None:
        """Queue it for the first rows of two tables."""
        self._part.run((self._blocks, 1), table, outputs)


class Cropper:
    """Crops of up to `count` regions or maps as a network's input: (n, h, w, 4) half, the fourth channel zero.

    With `exact` they are (n, h, w, 3) float32.
    """

    def __init__(
        self,
        place: Kernels,
        size_hw: tuple[int, int],
        count: int,
        *,
        border: str,
        scale: float,
        offset: float,
        from_rois: bool,
        exact: bool = False,
    ) -> None:
        height, width = size_hw
        constants = {"CROP_H": height, "CROP_W": width}
        self._sampling = Part(place, "sampling", {**constants, "FROM_ROIS": int(from_rois)}, 32)
        self._crop = Part(
            place, "crop", {**constants, "REPLICATE": int(border == "replicate"), "KIND": 1 if exact else 2}, 256
        )
        self._blocks, self._scale, self._offset = -(-height * width // 256), bits(scale), bits(offset)
        self.maps = torch.zeros((count, 2, 3), dtype=torch.float64, device=place.device)
        self.matrices = torch.zeros((count, 3, 3), dtype=torch.float64, device=place.device)
        form = ((count, height, width, 3), torch.float32) if exact else ((count, height, width, 4), torch.float16)
        self.crops = torch.zeros(form[0], dtype=form[1], device=place.device)

    def run(self, table: Tensor, rows: Tensor, count: int, rois: Tensor | None = None) -> Tensor:
        """Crops of the first `count` of `rows` (int32: which picture), by `rois` (n, 4) double or by `maps`."""
        self._sampling.run((-(-count // 32), 1), rois, self.maps, self.matrices, count)
        self._crop.run((self._blocks, count), table, rows, self.matrices, self.crops, self._scale, self._offset)
        return self.crops[:count]


class MaskFilter:
    """The streams' masks (n, h, w) half: sigmoid, and the mix with the mask before."""

    def __init__(
        self, place: Kernels, size_hw: tuple[int, int], count: int, *, logits: bool, smooth: bool, moving: bool
    ) -> None:
        constants = {
            "SIDE_H": size_hw[0],
            "SIDE_W": size_hw[1],
            "LOGITS": int(logits),
            "SMOOTH": int(smooth),
            "MOVING": int(moving),
        }
        self._mask = Part(place, "mask", constants, 256)
        self._blocks, self._count, self._smooth = -(-size_hw[0] * size_hw[1] // 256), count, smooth
        self.masks = torch.zeros((count, *size_hw), dtype=torch.float16, device=place.device)
        self._before = torch.zeros_like(self.masks)
        self._maps_before = torch.zeros((count, 2, 3), dtype=torch.float64, device=place.device)

    def run(self, fresh: Tensor, maps: Tensor, found: Tensor | None, alive_before: Tensor) -> Tensor:
        """This frame's masks; what they are mixed with next time is kept."""
        if self._smooth:
            self._before.copy_(self.masks)
        self._mask.run(
            (self._blocks, self._count), fresh, self._before, self.masks, maps, self._maps_before, found, alive_before
        )
        if self._smooth:
            self._maps_before.copy_(maps)
        return self.masks


class Softener:
    """Masks smoothed over their own pixels, and the maps turned round: what an opacity is sampled from."""

    def __init__(self, place: Kernels, size_hw: tuple[int, int], count: int, *, border: str) -> None:
        constants = {"SIDE_H": size_hw[0], "SIDE_W": size_hw[1], "MATTE_REPLICATE": int(border == "replicate")}
        self._soften = Part(place, "soften", constants, 256)
        self._blocks, self._count = -(-size_hw[0] * size_hw[1] // 256), count
        self.masks = torch.zeros((count, *size_hw), dtype=torch.float16, device=place.device)
        self.crop_from_image = torch.zeros((count, 2, 3), dtype=torch.float64, device=place.device)

    def run(self, masks: Tensor, image_from_crop: Tensor) -> None:
        self._soften.run((self._blocks, self._count), masks, self.masks, image_from_crop, self.crop_from_image)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a finished frame shows behind the people.

    Attributes:
        background: "blur" the frame itself, a "picture" of its own size for each stream, or one "color".
        strength: of the blur: standard deviation in pixels of a picture whose shorter side is 720.
        color: red, green, blue.
        edge: two probabilities: background up to the first, person from the second on.
    """

    background: Background = "blur"
    strength: float = 12.0
    color: tuple[int, int, int] = (0, 177, 64)
    edge: tuple[float, float] = (0.4, 0.9)

    def __post_init__(self) -> None:
        if self.background not in ("blur", "picture", "color"):
            raise InputError(f"background must be 'blur', 'picture' or 'color', got {self.background!r}")
        if not 1 <= self.strength <= 100:
            raise InputError(f"strength must be from 1 to 100, got {self.strength!r}")
        low, high = self.edge
        if not 0 <= low <= high <= 1:
            raise InputError(f"edge must be two probabilities, the lower one first, got {self.edge!r}")


class Composer:
    """Finished frames of all streams. Streams share one blur, measured for the first one's size.

    Each stream has `people` rows of masks, one after the other; a pixel is covered by whoever covers it most.
    """

    def __init__(
        self,
        place: Kernels,
        sizes: Sequence[tuple[int, int]],
        mask_hw: tuple[int, int],
        effect: Effect,
        *,
        border: str,
        people: int = 1,
    ) -> None:
        self._softener = Softener(place, mask_hw, len(sizes) * people, border=border)
        low, high = effect.edge
        self._ramp = (bits(low), bits(1 / max(high - low, 1e-6)))
        self._color = effect.color[0] | effect.color[1] << 8 | effect.color[2] << 16
        self._count, self._blurs = len(sizes), effect.background == "blur"
        cell, weights = blur_plan(effect.strength * min(sizes[0]) / 720)
        radius = len(weights) - 1
        matte = {
            "SIDE_H": mask_hw[0],
            "SIDE_W": mask_hw[1],
            "MATTE_REPLICATE": int(border == "replicate"),
            "PEOPLE": people,
        }
        background = {"blur": 0, "picture": 1, "color": 2}[effect.background]
        self._composite = Part(place, "composite", {**matte, "BACKGROUND": background, "CELL": cell}, 256)
        self._squares = max(-(-h // 2) * -(-w // 2) for h, w in sizes)
        self._cells_max = 1
        self._cells = self._blurred = None
        if self._blurs:
            grids = [(-(-h // cell), -(-w // cell)) for h, w in sizes]
            self._cells_max = max((h + 2 * radius + 2) * (w + 2 * radius + 2) for h, w in grids)
            self._tiles = max(-(-(h + 2) // 16) * -(-(w + 2) // 16) for h, w in grids)
            self._shrink = Part(place, "shrink", {**matte, "CELL": cell, "MARGIN": radius + 1}, 256)
            reach = 16 + 2 * radius
            self._blur = Part(place, "blur", {"CELL": cell, "RADIUS": radius}, 256, 16 * (reach * reach + reach * 16))
            self._weights = torch.tensor(weights, dtype=torch.float32, device=place.device)
            self._cells = torch.zeros((len(sizes), self._cells_max, 4), dtype=torch.float32, device=place.device)
            self._blurred = torch.zeros((len(sizes), self._cells_max, 4), dtype=torch.float16, device=place.device)
            self._cell_threads = max(cell, 4)

    def run(
        self,
        table: Tensor,
        outputs: Tensor,
        backgrounds: Tensor | None,
        masks: Tensor,
        image_from_crop: Tensor,
        found: Tensor | None,
    ) -> None:
        """Write every stream's finished frame to the picture of its row in `outputs`."""
        soft = self._softener
        soft.run(masks, image_from_crop)
        n = self._count
        if self._blurs:
            blocks = -(-self._cells_max * self._cell_threads // 256)
            self._shrink.run(
                (blocks, n), table, soft.masks, soft.crop_from_image, found, self._cells, self._cells_max, *self._ramp
            )
            self._blur.run((self._tiles, n), table, self._cells, self._weights, self._blurred, self._cells_max)
        arguments: tuple[Any, ...] = (
            table,
            outputs,
            backgrounds,
            soft.masks,
            soft.crop_from_image,
            found,
            self._blurred,
        )
        self._composite.run((-(-self._squares // 256), n), *arguments, self._cells_max, *self._ramp, self._color)

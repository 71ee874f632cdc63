"""Pixels as torch tensors on any device: the signatures of `posemask.pixels.native` with leading batch dimensions.

The arithmetic is the CPU kernels': crops are sampled in fixed point and equal theirs byte for byte, everything else to
the rounding of float32. It is written in torch's own operators, once for every device, and is what the GPU engine's
kernels (`posemask.gpu`) are held against.

Pictures are (..., H, W, 3) uint8 RGB, masks (..., h, w) float. Maps are (..., 2, 3) float64; coordinates are those of
pixel indices, x right, y down, without half a pixel. `nv12_to_rgb` and `rgb_to_nv12` change to and from the format
that video decoders use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as nn

from ..errors import ImageError, InputError

__all__ = [
    "YuvColors",
    "blend",
    "blend_blurred",
    "blur",
    "crop",
    "nv12_to_rgb",
    "paste",
    "resize",
    "rgb_to_nv12",
    "sampling_matrix",
]

Border = Literal["zero", "replicate"]
Tensor: TypeAlias = torch.Tensor

_DOUBLE_EPSILON = 2.220446049250313e-16
_LEAST_CELLS, _REACH, _LARGEST_CELL = 1.5, 3, 16  # of the blur: csrc/pixels/blur_plan.cpp


def crop(
    image: Tensor,
    image_from_crop: Tensor,
    size_hw: tuple[int, int],
    *,
    border: Border = "zero",
    scale: float = 1 / 255,
    offset: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Cut turned, scaled rectangles out of pictures with the reference's fixed-point arithmetic.

    Args:
        image: (..., H, W, 3) uint8; leading dimensions broadcast with those of the maps.
        image_from_crop: (..., 2, 3) float64.
        size_hw: height and width of the crops.
        border: what lies outside the picture, black ("zero") or its nearest edge ("replicate").
        scale, offset: applied in float32 to the value in 0..255.
        dtype: torch.uint8 gives the values themselves; scale and offset are then not applied.

    Returns:
        (..., h, w, 3) of `dtype`.
    """
    image = _checked_picture(image)
    height, width = image.shape[-3:-1]
    if min(height, width) < 2:  # pairs of rows and columns are read: repeat the edge, or add black
        around = (0, 0, 0, max(0, 2 - width), 0, max(0, 2 - height))
        mode = "replicate" if _replicates(border) else "constant"
        flat = nn.pad(image.reshape(-1, height, width, 3).float()[:, None], around, mode=mode)[:, 0]
        image = flat.to(torch.uint8).reshape(*image.shape[:-3], max(height, 2), max(width, 2), 3)
    batch = torch.broadcast_shapes(image.shape[:-3], image_from_crop.shape[:-2])
    m = sampling_matrix(image_from_crop.to(torch.float64), size_hw).expand(*batch, 3, 3)[..., None, None]
    rows, columns = size_hw
    # OpenCV adds up coordinates from the left end of blocks; the last bit of the sum depends on where they begin.
    block_width = min(1024 // min(rows, 16), columns)
    v = torch.arange(rows, device=image.device, dtype=torch.float64)[:, None]
    u = torch.arange(columns, device=image.device)[None]
    block, along = (u // block_width * block_width).double(), (u % block_width).double()
    x, y, w = (
        m[..., i, 0, :, :] * block + m[..., i, 1, :, :] * v + m[..., i, 2, :, :] + m[..., i, 0, :, :] * along
        for i in range(3)
    )
    per = torch.where(w != 0, 32.0 / w, torch.zeros_like(w))
    limit = float(1 << 30)
    sx, sy = ((c * per).clamp(-limit, limit).round().to(torch.int64) for c in (x, y))
    if _replicates(border):
        sx, sy = sx.clamp(0, 32 * (width - 1)), sy.clamp(0, 32 * (height - 1))
    tx, ty = (sx >> 5).clamp(0, width - 2), (sy >> 5).clamp(0, height - 2)

    flat = image.expand(*batch, -1, -1, -1).reshape(*batch, height * width, 3).int()
    total = torch.zeros((*batch, rows, columns, 3), dtype=torch.int32, device=image.device)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (32 - (sx - 32 * (tx + dx)).abs()).clamp(min=0) * (32 - (sy - 32 * (ty + dy)).abs()).clamp(min=0)
            index = ((ty + dy) * width + tx + dx).reshape(*batch, -1)
            taps = flat.gather(-2, index[..., None].expand(*index.shape, 3)).reshape(total.shape)
            total += weight[..., None].int() * taps
    values = (total + 512) >> 10
    return values.to(torch.uint8) if dtype == torch.uint8 else (values.float() * scale + offset).to(dtype)


def sampling_matrix(image_from_crop: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The (..., 3, 3) float64 matrix with which the reference samples a crop; csrc/pixels/sampling.h says why.

    MediaPipe gives OpenCV the crop's corners as float32; OpenCV solves for the perspective matrix that maps them to the
    crop and inverts it. Coordinates are rounded to 1/32 pixel afterwards, and ties hang on the last bits of that.
    """
    height, width = (float(side) for side in size_hw)
    device, batch = image_from_crop.device, image_from_crop.shape[:-2]
    corner_x = torch.tensor([0.0, 0.0, width, width], dtype=torch.float64, device=device)
    corner_y = torch.tensor([height, 0.0, 0.0, height], dtype=torch.float64, device=device)
    m = image_from_crop[..., None]
    x = (m[..., 0, 0, :] * corner_x + m[..., 0, 1, :] * corner_y + m[..., 0, 2, :]).float()
    y = (m[..., 1, 0, :] * corner_x + m[..., 1, 1, :] * corner_y + m[..., 1, 2, :]).float()
    a = torch.zeros((*batch, 8, 9), dtype=torch.float64, device=device)
    for first, corner in ((0, corner_x), (4, corner_y)):
        rows = a[..., first : first + 4, :]
        rows[..., 3 * (first > 0)], rows[..., 3 * (first > 0) + 1], rows[..., 3 * (first > 0) + 2] = (
            x.double(),
            y.double(),
            1.0,
        )
        rows[..., 6], rows[..., 7], rows[..., 8] = (
            (-x * corner.float()).double(),
            (-y * corner.float()).double(),
            corner,
        )
    solved = torch.ones(batch, dtype=torch.bool, device=device)
    for i in range(8):  # Gaussian elimination with row pivots, every crop at once
        pivot = i + a[..., i:, i].abs().argmax(-1)
        solved &= a[..., i:, i].abs().amax(-1) >= 100 * _DOUBLE_EPSILON
        at = pivot[..., None, None].expand(*batch, 1, 9)
        chosen, row = a.gather(-2, at).clone(), a[..., i : i + 1, :].clone()
        a = a.scatter(-2, at, row)
        a[..., i : i + 1, :] = chosen
        factor = a[..., i + 1 :, i] * (-1 / a[..., i, i])[..., None]
        a[..., i + 1 :, i + 1 :] += factor[..., None] * chosen[..., i + 1 :]
    b = torch.ones((*batch, 9), dtype=torch.float64, device=device)
    for i in range(7, -1, -1):
        total = a[..., i, 8]
        for k in range(i + 1, 8):
            total = total - a[..., i, k] * b[..., k]
        b[..., i] = total / a[..., i, i]
    p = [b[..., i] for i in range(9)]
    cofactors = [
        p[4] * p[8] - p[5] * p[7],
        p[2] * p[7] - p[1] * p[8],
        p[1] * p[5] - p[2] * p[4],
        p[5] * p[6] - p[3] * p[8],
        p[0] * p[8] - p[2] * p[6],
        p[2] * p[3] - p[0] * p[5],
        p[3] * p[7] - p[4] * p[6],
        p[1] * p[6] - p[0] * p[7],
        p[0] * p[4] - p[1] * p[3],
    ]
    determinant = p[0] * cofactors[0] - p[1] * (p[3] * p[8] - p[5] * p[6]) + p[2] * cofactors[6]
    inverse = (torch.stack(cofactors, -1) * (1 / determinant)[..., None]).reshape(*batch, 3, 3)
    last = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64, device=device).expand(*batch, 1, 3)
    affine = torch.cat([image_from_crop, last], -2)
    return torch.where((solved & (determinant != 0))[..., None, None], inverse, affine)


def paste(mask: Tensor, image_from_crop: Tensor, size_hw: tuple[int, int], *, border: Border = "zero") -> Tensor:
    """Sample masks of crops at every pixel of their pictures: bilinear, in float, without half a pixel.

    Args:
        mask: (..., h, w) float.
        image_from_crop: (..., 2, 3) float64, invertible.
        size_hw: height and width of the pictures.
        border: what lies outside the crop, 0 ("zero") or its nearest edge ("replicate").

    Returns:
        (..., H, W) float32.
    """
    height, width = mask.shape[-2:]
    batch = torch.broadcast_shapes(mask.shape[:-2], image_from_crop.shape[:-2])
    m = image_from_crop.to(torch.float64)[..., None, None]
    a, b, c, d, e, f = (m[..., i, j, :, :] for i in range(2) for j in range(3))
    y = torch.arange(size_hw[0], device=mask.device, dtype=torch.float64)[:, None] - f
    x = torch.arange(size_hw[1], device=mask.device, dtype=torch.float64)[None] - c
    determinant = a * e - b * d
    u, v = (e * x - b * y) / determinant, (a * y - d * x) / determinant
    if _replicates(border):
        u, v = u.clamp(0, width - 1), v.clamp(0, height - 1)
    u, v = u.clamp(-2, width + 1), v.clamp(-2, height + 1)
    left, top = u.floor(), v.floor()
    fx, fy = (u - left).float(), (v - top).float()
    flat = mask.float().expand(*batch, height, width).reshape(*batch, -1)
    total = torch.zeros((*batch, *size_hw), dtype=torch.float32, device=mask.device)
    for dy in (0, 1):
        for dx in (0, 1):
            tx, ty = left.long() + dx, top.long() + dy
            inside = (tx >= 0) & (tx < width) & (ty >= 0) & (ty < height)
            index = (ty.clamp(0, height - 1) * width + tx.clamp(0, width - 1)).expand(total.shape).reshape(*batch, -1)
            weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * inside
            total += weight * flat.gather(-1, index).reshape(total.shape)
    return total


def resize(image: Tensor, size_hw: tuple[int, int], *, method: Literal["linear", "area"] = "linear") -> Tensor:
    """Pictures (..., H, W, 3) uint8 at another size, half-pixel centres; "area" takes means, for shrinking."""
    image = _checked_picture(image)
    flat = image.reshape(-1, *image.shape[-3:]).permute(0, 3, 1, 2).float()
    if method == "linear":
        made = nn.interpolate(flat, size_hw, mode="bilinear", align_corners=False)
    elif method == "area":
        made = nn.interpolate(flat, size_hw, mode="bilinear", align_corners=False, antialias=True)
        if image.shape[-3] % size_hw[0] == 0 and image.shape[-2] % size_hw[1] == 0:
            made = nn.avg_pool2d(flat, (image.shape[-3] // size_hw[0], image.shape[-2] // size_hw[1]))
    else:
        raise InputError(f'method must be "linear" or "area", got {method!r}')
    return _bytes(made).permute(0, 2, 3, 1).reshape(*image.shape[:-3], *size_hw, 3)


def blur(image: Tensor, sigma: float, *, border: Border = "replicate") -> Tensor:
    """Blur pictures (..., H, W, 3) uint8 with a Gaussian of `sigma` pixels; 0 copies.

    As on the CPU, cells of 2, 4, 8 or 16 pixels are averaged first where the blur is wide enough to hide them.
    """
    image = _checked_picture(image)
    if sigma == 0:
        return image.clone()
    flat = image.reshape(-1, *image.shape[-3:]).permute(0, 3, 1, 2).float()
    inside = torch.ones_like(flat[:, :1])
    made = _blurred(flat, inside, sigma, replicate=_replicates(border))
    return _bytes(made[:, :3]).permute(0, 2, 3, 1).reshape(image.shape)


def blend(foreground: Tensor, background: Tensor, alpha: Tensor) -> Tensor:
    """Lay one picture over another: round((foreground * a + background * (255 - a)) / 255), halves up.

    foreground, background: (..., H, W, 3) uint8; alpha: (..., H, W) uint8, or float which is rounded to 255ths first.
    """
    foreground, background = _checked_picture(foreground), _checked_picture(background)
    if foreground.shape[-3:] != background.shape[-3:] or alpha.shape[-2:] != foreground.shape[-3:-1]:
        shapes = f"{tuple(foreground.shape)}, {tuple(background.shape)}, {tuple(alpha.shape)}"
        raise ImageError(f"foreground, background and alpha differ in size: {shapes}")
    a = (alpha if alpha.dtype == torch.uint8 else _bytes(alpha * 255)).int()[..., None]
    total = foreground.int() * a + background.int() * (255 - a)
    return ((2 * total + 255) // 510).to(torch.uint8)


def blend_blurred(image: Tensor, alpha: Tensor, sigma: float, *, masked: bool = False) -> Tensor:
    """Lay pictures over their own blur; with `masked` the foreground is left out of the blur, as on the CPU."""
    image = _checked_picture(image)
    a = (alpha if alpha.dtype == torch.uint8 else _bytes(alpha * 255)).float() / 255
    flat = image.reshape(-1, *image.shape[-3:]).permute(0, 3, 1, 2).float()
    weight = (1 - a).reshape(-1, 1, *a.shape[-2:]) if masked else torch.ones_like(flat[:, :1])
    behind = _blurred(flat, weight.expand(flat.shape[0], -1, -1, -1), sigma, replicate=True)
    return blend(image, _bytes(behind[:, :3]).permute(0, 2, 3, 1).reshape(image.shape), alpha)


def _blurred(flat: Tensor, weight: Tensor, sigma: float, *, replicate: bool) -> Tensor:
    """(N, 3, H, W): colours blurred with each pixel's weight, the weights divided out; black where there is none."""
    if not sigma > 0:
        raise InputError(f"sigma must be greater than 0, got {sigma!r}")
    factor, weights = blur_plan(sigma)
    height, width = flat.shape[-2:]
    radius = len(weights) - 1
    # Blurred cells reach one beyond the picture on every side, for the interpolation at its rim.
    reach = (radius + 1) * factor
    around = (reach, reach + -width % factor, reach, reach + -height % factor)
    values = torch.cat([flat * weight, weight], 1)
    if replicate:
        values = nn.pad(values, around, mode="replicate")
    else:  # beyond the picture lies black, which weighs as much as colour
        values = torch.cat([nn.pad(values[:, :3], around), nn.pad(values[:, 3:], around, value=1.0)], 1)
    cells = nn.avg_pool2d(values, factor) if factor > 1 else values
    kernel = torch.tensor(weights[:0:-1] + weights, device=flat.device).reshape(1, 1, 1, -1).expand(4, 1, 1, -1)
    cells = nn.conv2d(nn.conv2d(cells, kernel, groups=4), kernel.transpose(2, 3), groups=4)
    total = cells[:, 3:]
    colors = torch.where(total > 1e-6, cells[:, :3] / total.clamp(min=1e-12), torch.zeros_like(cells[:, :3]))
    large = nn.interpolate(colors, scale_factor=factor, mode="bilinear", align_corners=False) if factor > 1 else colors
    return large[..., factor : factor + height, factor : factor + width]


def blur_plan(sigma: float) -> tuple[int, list[float]]:
    """Side of the cells and the half kernel on them, for a Gaussian of `sigma` pixels (csrc/pixels/blur_plan.cpp)."""
    factor = 1
    while 2 * factor <= _LARGEST_CELL and sigma >= 2 * factor * _LEAST_CELLS:
        factor *= 2
    left = sigma if factor == 1 else math.sqrt((sigma / factor) ** 2 - 0.25)
    radius = math.ceil(_REACH * left)
    weights = [math.exp(-0.5 * (i / left) ** 2) for i in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return factor, [weight / total for weight in weights]


@dataclass(frozen=True, slots=True, kw_only=True)
class YuvColors:
    """What the numbers of a YUV picture mean.

    Attributes:
        matrix: ITU-R BT.601 (small and old pictures), BT.709 (HD) or BT.2020 (non-constant luminance).
        full_range: luma from 0 to 255 instead of 16 to 235.
    """

    matrix: Literal["bt601", "bt709", "bt2020"] = "bt709"
    full_range: bool = False

    def __post_init__(self) -> None:
        if self.matrix not in _YUV:
            raise InputError(f"matrix must be one of {', '.join(map(repr, _YUV))}, got {self.matrix!r}")


# Of luma: red, blue. Of what chroma adds: v to red, u and v to green (less), u to blue.
_YUV = {
    "bt601": (0.299, 0.114, 1.402, 0.344136, 0.714136, 1.772),
    "bt709": (0.2126, 0.0722, 1.5748, 0.18732, 0.46812, 1.8556),
    "bt2020": (0.2627, 0.0593, 1.4746, 0.16455, 0.57135, 1.8814),
}


def nv12_to_rgb(luma: Tensor, chroma: Tensor, colors: YuvColors | None = None) -> Tensor:
    """RGB (..., H, W, 3) uint8 of NV12: luma (..., H, W), chroma (..., H/2, W/2, 2) uint8; BT.709, limited, if None."""
    colors = colors or YuvColors()
    _, _, red_v, green_u, green_v, blue_u = _YUV[colors.matrix]
    full = colors.full_range
    y = (luma.float() - (0 if full else 16)) * (1 if full else 255 / 219)
    wide = (chroma.float() - 128) * (1 if full else 255 / 224)
    wide = wide.repeat_interleave(2, -3).repeat_interleave(2, -2)[..., : luma.shape[-2], : luma.shape[-1], :]
    u, v = wide[..., 0], wide[..., 1]
    return _bytes(torch.stack([y + red_v * v, y - green_u * u - green_v * v, y + blue_u * u], -1))


def rgb_to_nv12(image: Tensor, colors: YuvColors | None = None) -> tuple[Tensor, Tensor]:
    """(..., H, W, 3) uint8 RGB with even sides as NV12: luma (..., H, W) and chroma (..., H/2, W/2, 2) uint8."""
    colors = colors or YuvColors()
    red, blue, red_v, _, _, blue_u = _YUV[colors.matrix]
    image = _checked_picture(image)
    if image.shape[-3] % 2 or image.shape[-2] % 2:
        raise ImageError(f"NV12 needs an even height and width, got {image.shape[-3]} x {image.shape[-2]}")
    r, g, b = image.float().unbind(-1)
    y = red * r + (1 - red - blue) * g + blue * b
    uv = torch.stack([(b - y) / blue_u, (r - y) / red_v], -1)
    *batch, height, width, _ = uv.shape
    uv = uv.reshape(*batch, height // 2, 2, width // 2, 2, 2).mean((-4, -2))
    if colors.full_range:
        return _bytes(y), _bytes(uv + 128)
    return _bytes(y * (219 / 255) + 16), _bytes(uv * (224 / 255) + 128)


def _bytes(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255).to(torch.uint8)


def _checked_picture(image: Tensor) -> Tensor:
    if image.ndim < 3 or image.shape[-1] != 3 or image.dtype != torch.uint8 or 0 in image.shape:
        raise ImageError(
            f"image must be a (..., H, W, 3) uint8 tensor, got {image.dtype} of shape {tuple(image.shape)}"
        )
    return image


def _replicates(border: str) -> bool:
    if border not in ("zero", "replicate"):
        raise InputError(f'border must be "zero" or "replicate", got {border!r}')
    return border == "replicate"

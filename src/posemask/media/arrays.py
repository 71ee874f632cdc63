"""Pictures that are already arrays: numpy, torch and whatever else speaks DLPack, as (H, W, 3) uint8 RGB.

Value ranges follow the type, never the content, so that a dark picture is not taken for another kind:

    uint8      0 to 255, taken as it is
    uint16     0 to 65535, the high byte is taken (as Pillow and FFmpeg do)
    bool       False is 0, True is 255
    float      0 to 1, times 255 and rounded; beyond by half a grey level or more is an error

Channels: none or one is grey, three are RGB, four are RGB and alpha, which is dropped, not blended.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ImageError

__all__ = ["array_of_tensor", "is_tensor", "rgb_of_array", "writable_pixels"]

_HALF_A_LEVEL = 0.5 / 255.0


def rgb_of_array(array: npt.NDArray[Any], *, bgr: bool = False) -> npt.NDArray[np.uint8]:
    """RGB pixels of a picture that is an array.

    Args:
        array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16, bool or floating point as above.
        bgr: the channels stand in the order blue, green, red (and alpha), as OpenCV has them.

    Returns:
        (H, W, 3) uint8, C-contiguous. It is `array` itself where nothing had to change: do not write to it.

    Raises:
        ImageError: another shape or type, no pixels, or floats outside [0, 1].
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(
            f"expected a picture of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {array.shape}; "
            "pass pictures one by one, channels last"
        )
    if 0 in array.shape:
        raise ImageError(f"expected a picture with at least one pixel, got shape {array.shape}")
    colors = array[..., :3] if array.shape[2] == 4 else array
    if bgr:
        colors = colors[..., ::-1]
    pixels = _as_uint8(colors)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)


def _as_uint8(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pixel values as 8 bits, by the table above; the same array if it is uint8. Raises `ImageError`."""
    levels: npt.NDArray[np.uint8]
    if array.dtype == np.uint8:
        levels = array
    elif array.dtype == np.bool_:
        levels = np.where(array, np.uint8(255), np.uint8(0))
    elif array.dtype.newbyteorder("=") == np.uint16:
        levels = np.right_shift(array, 8).astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low > -_HALF_A_LEVEL and high < 1.0 + _HALF_A_LEVEL):  # written so that nan is refused, too
            raise ImageError(
                f"expected floating-point pixel values in [0, 1], got {low:g} to {high:g}; "
                "divide by the largest value, or convert to uint8"
            )
        levels = np.rint(np.clip(array, 0.0, 1.0) * np.float32(255.0)).astype(np.uint8)
    else:
        raise ImageError(
            f"expected pixel values of type uint8, uint16, bool or floating point, got {array.dtype}; "
            "convert to uint8 with values from 0 to 255"
        )
    return levels


def writable_pixels(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A picture to be written: (H, W), (H, W, 3) or (H, W, 4), as 8 bits by the table above. Raises `ImageError`."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)) or 0 in image.shape:
        raise ImageError(f"expected a picture of shape (H, W), (H, W, 3) or (H, W, 4) to write, got {image.shape}")
    return _as_uint8(image)


def is_tensor(value: object) -> bool:
    """Whether `value` is an array of another library: torch, cupy, jax ... (anything with ``__dlpack__``)."""
    return hasattr(value, "__dlpack__") and hasattr(value, "shape")


def array_of_tensor(tensor: Any) -> npt.NDArray[Any]:
    """A picture held by another array library as numpy, channels last, on the host.

    Args:
        tensor: (H, W), (H, W, C) or (C, H, W) with C in 1, 3, 4, on any device. Where both orders are possible, as
            in (3, 640, 4), the channels are taken to be last.

    Returns:
        The same pixels as numpy; without a copy where the tensor is on the host and needs none.
    """
    try:
        array = _to_numpy(tensor)
    except Exception as error:  # each library has its own: they all mean "not usable as a picture"
        raise ImageError(
            f"cannot read a {type(tensor).__module__}.{type(tensor).__name__} as a picture: {error}"
        ) from (error)
    channels = (1, 3, 4)
    if array.ndim == 3 and array.shape[2] not in channels and array.shape[0] in channels:
        return array.transpose(1, 2, 0)
    return array


def _to_numpy(tensor: Any) -> npt.NDArray[Any]:
    if hasattr(tensor, "detach"):  # torch: off the graph, to the host, and out of the types that numpy lacks
        tensor = tensor.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
    elif hasattr(tensor, "get"):  # cupy
        tensor = tensor.get()
    return np.from_dlpack(tensor) if not isinstance(tensor, np.ndarray) else tensor

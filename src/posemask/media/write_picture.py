"""Writing picture files: PNG, JPEG, WebP, TIFF and BMP, by the suffix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import OutputError
from .arrays import writable_pixels
from .outputs import output_errors, pending_file

__all__ = ["PICTURE_SUFFIXES", "write_image"]

_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "compress_level": 4},
    ".jpg": {"format": "JPEG", "quality": 92, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 92, "subsampling": 0},
    ".webp": {"format": "WEBP", "quality": 92},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    ".bmp": {"format": "BMP"},
}
_OPAQUE = {"JPEG", "BMP"}

PICTURE_SUFFIXES = frozenset(_OPTIONS)
"""Suffixes that `write_image` knows."""


def write_image(
    path: str | os.PathLike[str],
    image: npt.NDArray[Any],
    *,
    color_profile: bytes | None = None,
    overwrite: bool = False,
) -> None:
    """Write a picture; the suffix says the format (.png, .jpg, .webp, .tif, .bmp).

    Args:
        path: where to. The file appears there when it is complete.
        image: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGB and straight alpha; uint8, bool, uint16 or floating point in
            [0, 1] (written as 8 bits).
        color_profile: the ICC profile of the picture that the colours come from, as `read_color_profile` gives it;
            greys and .bmp files do without.
        overwrite: replace an existing file.

    Raises:
        OutputError: the file cannot be written, is there already, or its format has no room for the alpha.
        ImageError: `image` is no picture.
    """
    path = Path(path)
    options = _OPTIONS.get(path.suffix.lower())
    if options is None:
        raise OutputError(
            f"cannot write {path}: a picture's suffix is one of {', '.join(_OPTIONS)}, got {path.suffix!r}"
        )
    pixels = writable_pixels(image)
    if pixels.ndim == 3 and pixels.shape[2] == 4 and options["format"] in _OPAQUE:
        raise OutputError(f"cannot write {path}: {options['format']} has no alpha; use .png or .webp")
    if color_profile is not None and pixels.ndim == 3 and options["format"] != "BMP":
        options = options | {"icc_profile": color_profile}
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    with pending_file(path, overwrite=overwrite) as temporary, output_errors(path):
        try:
            picture.save(temporary, **options)
        except ValueError as error:  # larger than the format allows
            raise OutputError(f"cannot write {path}: {error}") from error

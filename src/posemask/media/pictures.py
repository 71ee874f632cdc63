"""Picture files: anything that shows a picture becomes (H, W, 3) uint8 RGB, upright.

Reading keeps to what Pillow's ``ImageOps.exif_transpose`` and ``convert("RGB")`` give, with two
differences: deep greys (16 bits) are scaled and not clipped, and the conversion goes strip by
strip, so that a picture of N pixels needs about 7 N bytes and not 15 N. Alpha is dropped, not
blended: the colours under transparent pixels are those of the file. Animations give their first
picture here; `read_video` reads all of them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError, InputError, PosemaskError
from .arrays import array_of_tensor, is_tensor, rgb_of_array
from .orientation import Orientation

__all__ = ["MAX_PIXELS", "open_picture", "pixels_of", "read_color_profile", "read_image"]

MAX_PIXELS = 120_000_000
"""Pictures with more pixels are refused unless the caller says otherwise: every phone's are smaller, and reading
one of this size takes about 0.9 GB. (Pillow has a limit of its own, twice ``PIL.Image.MAX_IMAGE_PIXELS``.)"""

# What photographs come in, the commonest first. Formats that run other programs (EPS, WMF) or that nobody keeps
# photographs in stay closed: each is one more decoder that a hostile file can reach.
_FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "TGA", "ICO", "QOI", "SGI", "PCX",
    "PSD",
)  # fmt: skip

_EXIF_ORIENTATION = 0x0112
_STRIP_PIXELS = 1 << 20
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


def read_image(source: Any, *, bgr: bool = False, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Read a picture from wherever it is.

    Args:
        source: a path; the bytes of a picture file; a binary file object; a PIL image; a numpy array; or a tensor of
            torch or another library with DLPack. Arrays are (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16,
            bool or floating point in [0, 1] (see `posemask.media.arrays`); tensors may have their channels first.
        bgr: an array's channels stand in the order blue, green, red. For arrays and tensors only: files say theirs.
        max_pixels: larger picture files are refused before they are decoded.

    Returns:
        (H, W, 3) uint8, RGB, upright (EXIF orientation applied), C-contiguous. An array that is so already is
        returned as it is, without a copy: do not write to it.

    Raises:
        ImageError: the picture cannot be read; the message says why.
    """
    if isinstance(source, np.ndarray):
        return rgb_of_array(source, bgr=bgr)
    if not isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)) and is_tensor(source):
        return rgb_of_array(array_of_tensor(source), bgr=bgr)
    if bgr:
        raise InputError("bgr=True is for arrays and tensors; a picture file or PIL image says its own channel order")
    with open_picture(source, max_pixels=max_pixels) as image:
        return pixels_of(image)


def read_color_profile(source: Any, *, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """The ICC profile that says which colours a picture file's RGB values are; None where it has none.

    `read_image` gives the values as they stand in the file. Who writes values back that came from a file with a profile
    gives the profile to `write_image`, or the colours change: phones' photographs are not in sRGB. Profiles of greys
    and of printing inks are left out, for those pictures have been converted.

    Args:
        source, max_pixels: as of `read_image`; arrays and tensors have no profile. A file object is read from where it
            stands.

    Raises `ImageError` as `read_image` does.
    """
    if is_tensor(source):  # as numpy arrays are
        return None
    with open_picture(source, max_pixels=max_pixels) as image:
        profile = image.info.get("icc_profile")
    # ICC.1:2022, 7.2.6: the colour space of the values stands at byte 16 of the header.
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


@contextmanager
def open_picture(source: Any, *, max_pixels: int) -> Iterator[Image.Image]:
    """The source as a PIL image, checked for its size, not decoded yet; its file is closed again at the end.

    Everything that Pillow raises inside the ``with`` block becomes an `ImageError` that names the source.
    """
    name = _name_of(source)
    try:
        if isinstance(source, Image.Image):
            _check_size(source, max_pixels, name)
            yield source
            return
        with _open_file(source) as file, _identify(file, name) as image:
            _check_size(image, max_pixels, name)
            yield image
    except PosemaskError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} claims to have more pixels than a picture should: {error}") from error
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory") from error
    except OSError as error:
        reason = error.strerror if error.errno is not None else str(error)
        raise ImageError(f"{name} cannot be read: {reason}") from error
    except (
        Exception
    ) as error:  # damaged files raise whatever Pillow's plugins stumble over: ValueError, struct.error ...
        raise ImageError(f"{name} is damaged: {type(error).__name__}: {error}") from error


def pixels_of(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Upright RGB pixels of a PIL image, (H, W, 3) uint8; the image is decoded but not changed."""
    image.load()
    orientation = _orientation_of(image)
    to_rgb = _strip_converter(image)
    width, height = image.size
    pixels = np.empty((*orientation.upright_hw((height, width)), 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        orientation.write_stored_rows(np.ascontiguousarray(to_rgb(strip)), top, upright=pixels)
    return pixels


def _strip_converter(image: Image.Image) -> Callable[[Image.Image], npt.NDArray[np.uint8]]:
    """How strips of this picture become RGB. Greys of more than 8 bits need a scale, which Pillow does not apply."""
    if image.mode.startswith("I;16"):
        return lambda strip: rgb_of_array(np.asarray(strip))
    if image.mode == "I":  # 16-bit greys of PGM files come as 32-bit integers
        low, high = _extrema(image)
        if low < 0 or high > 65535:
            raise ImageError(f"expected integer grey values in [0, 65535], got {low:g} to {high:g}; convert to 8 bits")
        return lambda strip: rgb_of_array(np.asarray(strip).astype(np.uint16))
    if image.mode == "F":
        low, high = _extrema(image)
        if not (low >= 0.0 and high <= 255.0):
            raise ImageError(f"expected floating-point greys in [0, 1] or [0, 255], got {low:g} to {high:g}")
        scale = np.float32(1.0 if high <= 1.0 else 1 / 255)
        return lambda strip: rgb_of_array(np.asarray(strip) * scale)
    return _to_rgb


def _to_rgb(strip: Image.Image) -> npt.NDArray[np.uint8]:
    strip.info.pop("transparency", None)  # it is dropped; Pillow would warn that it cannot keep it
    return np.asarray(strip.convert("RGB"))


def _extrema(image: Image.Image) -> tuple[float, float]:
    low, high = cast("tuple[float, float]", image.getextrema())  # a pair per channel only where there are several
    return low, high


def _orientation_of(image: Image.Image) -> Orientation:
    try:
        return Orientation.from_exif(image.getexif().get(_EXIF_ORIENTATION))
    except Exception:  # broken metadata raises nearly anything; the picture itself may still be sound
        return Orientation()


def _check_size(image: Image.Image, max_pixels: int, name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels: {width} x {height}")
    if width * height > max_pixels:
        raise ImageError(f"{name} has {width} x {height} pixels; the limit is {max_pixels} (max_pixels sets another)")


@contextmanager
def _open_file(source: Any) -> Iterator[IO[bytes]]:
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            yield file
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif hasattr(source, "read"):
        seekable = source.seekable() if hasattr(source, "seekable") else hasattr(source, "seek")
        yield source if seekable else io.BytesIO(source.read())
    else:
        raise ImageError(
            f"expected a path, bytes, a file object, a PIL image, an array or a tensor, got {type(source).__qualname__}"
        )


def _identify(file: IO[bytes], name: str) -> Image.Image:
    start = file.tell()
    head = file.read(12)
    file.seek(start)
    if not head:
        raise ImageError(f"{name} is empty")
    Image.init()
    try:
        return Image.open(file, formats=[known for known in _FORMATS if known in Image.OPEN])
    except UnidentifiedImageError as error:
        if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
            file.seek(start)
            return _open_heic(file, name)
        raise ImageError(
            f"{name} is damaged, or not a picture of a known format (JPEG, PNG, WebP, GIF, AVIF, TIFF, BMP ...)"
        ) from error


def _open_heic(file: IO[bytes], name: str) -> Image.Image:
    try:
        heif = import_module("pillow_heif")
    except ImportError as error:
        raise ImageError(
            f"{name} is a HEIC picture, which Pillow cannot read; `pip install pillow-heif` and try again, "
            "or convert it to JPEG"
        ) from error
    heif.register_heif_opener()
    return Image.open(file, formats=["HEIF"])


def _name_of(source: Any) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    return f"the picture ({type(source).__name__})"
